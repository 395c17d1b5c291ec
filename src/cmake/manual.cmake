# Manual pages and completions, which the command writes from its own help, are installed with it.
if(NOT CMAKE_CROSSCOMPILING)
  set(rae_manual ${CMAKE_CURRENT_BINARY_DIR}/manual)
  set(rae_completions ${CMAKE_CURRENT_BINARY_DIR}/completions)
  file(MAKE_DIRECTORY ${rae_completions})
  add_custom_command(
    OUTPUT ${rae_manual}/rae.1 ${rae_completions}/rae ${rae_completions}/_rae
           ${rae_completions}/rae.fish
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${rae_manual}
    COMMAND rae_tool manual ${rae_manual}
    COMMAND rae_tool completion bash > ${rae_completions}/rae
    COMMAND rae_tool completion zsh > ${rae_completions}/_rae
    COMMAND rae_tool completion fish > ${rae_completions}/rae.fish
    DEPENDS rae_tool
    COMMENT "Manual pages and completions of rae"
    VERBATIM)
  add_custom_target(rae_manual ALL DEPENDS ${rae_manual}/rae.1)
  install(DIRECTORY ${rae_manual}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${rae_completions}/rae
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${rae_completions}/_rae DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${rae_completions}/rae.fish
          DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

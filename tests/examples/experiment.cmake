# Runs the reduced version of an experiment in two sittings and once as a whole, and checks that
# both write the same table and plot, apart from measured times:
#   cmake -DPROGRAM=FILE -DNAME=NAME -DFOLDER=DIR -P experiment.cmake
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER}/parts/docs)

function(run_part out)
  execute_process(COMMAND ${PROGRAM} --quick --out ${FOLDER}/${out} ${ARGN}
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  message("${output}")
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NAME} ended with ${status}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# The page has text of its own, which stays.
file(WRITE ${FOLDER}/parts/docs/findings.md
  "# Findings\n\nBefore.\n\n<!-- experiment: ${NAME} -->\nold\n<!-- /experiment -->\nAfter.\n")
run_part(parts --points 1)
if(NOT output MATCHES "1 of [0-9]+ points are in" OR EXISTS ${FOLDER}/parts/${NAME}.csv)
  message(FATAL_ERROR "${NAME} did not stop after one point")
endif()
run_part(parts)
if(output MATCHES "point 1 of")
  message(FATAL_ERROR "${NAME} measured the first point again")
endif()
run_part(whole)

# The table without its columns of measured times, whose names contain "second".
function(read_table out path)
  file(STRINGS ${path} lines)
  list(GET lines 0 header)
  string(REPLACE "," ";" names "${header}")
  set(text)
  foreach(line IN LISTS lines)
    string(REPLACE "," ";" cells "${line}")
    foreach(name cell IN ZIP_LISTS names cells)
      if(NOT name MATCHES "second")
        string(APPEND text "${cell},")
      endif()
    endforeach()
    string(APPEND text "\n")
  endforeach()
  set(${out} "${text}" PARENT_SCOPE)
  set(header "${header}" PARENT_SCOPE)
endfunction()

read_table(whole ${FOLDER}/whole/${NAME}.csv)
read_table(parts ${FOLDER}/parts/${NAME}.csv)
if(NOT whole STREQUAL parts)
  message(FATAL_ERROR "${NAME}.csv depends on the interruption:\n${parts}\n${whole}")
endif()
if(NOT header MATCHES "second")
  file(READ ${FOLDER}/whole/docs/images/findings/${NAME}.svg whole)
  file(READ ${FOLDER}/parts/docs/images/findings/${NAME}.svg parts)
  if(NOT whole STREQUAL parts)
    message(FATAL_ERROR "${NAME}.svg depends on the interruption")
  endif()
endif()

file(READ ${FOLDER}/whole/docs/images/findings/${NAME}.svg plot)
if(NOT plot MATCHES "^<svg .*(<polyline|<circle).*</svg>\n$" OR plot MATCHES "no data|NaN")
  message(FATAL_ERROR "the plot has no curves: ${plot}")
endif()
file(READ ${FOLDER}/parts/docs/findings.md page)
if(NOT page MATCHES "^# Findings\n\nBefore.\n\n<!-- experiment: ${NAME} -->\n## .*\n\\| --- \\|.*\
\n<!-- /experiment -->\nAfter.\n$" OR page MATCHES "\nold\n" OR page MATCHES "nan|inf ")
  message(FATAL_ERROR "the page is wrong: ${page}")
endif()

# Other settings, and missing pictures, are refused before anything is measured.
execute_process(COMMAND ${PROGRAM} --out ${FOLDER}/none RESULT_VARIABLE status ERROR_VARIABLE error)
if(NOT status EQUAL 2 OR NOT error MATCHES "--data DIR is missing" OR EXISTS ${FOLDER}/none)
  message(FATAL_ERROR "expected the message that --data is missing, got ${status}: ${error}")
endif()

/* Loads the built-in model of an installed package through the interface for C. */
#include <rae/rae.h>
#include <stdio.h>

int main(void) {
  rae_generator* generator = NULL;
  rae_model_info info;
  info.size = sizeof info;
  if (rae_generator_builtin(NULL, NULL, &generator) != RAE_OK ||
      rae_generator_info(generator, &info) != RAE_OK) {
    fprintf(stderr, "%s: %s\n", rae_status_name(rae_last_status()), rae_last_error());
    return 1;
  }
  printf("%s: %s, %d classes\n", rae_system_info(), info.name, (int)info.classes);
  return rae_generator_free(generator) != RAE_OK;
}

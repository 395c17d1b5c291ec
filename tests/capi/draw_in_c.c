/* usage: draw_in_c FILE.png: draws class 7 of the built-in model with seed 5 in 4 steps. Prints the
 * steps. */
#include <rae/rae.h>
#include <stdio.h>

static int print_step(const rae_step* step, void* user_data) {
  (void)user_data;
  printf("%d/%d\n", (int)step->step, (int)step->steps);
  return 0;
}

static int draw(const char* path) {
  const int64_t label = 7;
  rae_generator* generator = NULL;
  rae_image* image = NULL;
  rae_sample_options options;
  int failed = rae_generator_builtin(NULL, NULL, &generator) ||
               rae_sample_options_init(&options, sizeof options);
  if (!failed) {
    options.labels = &label;
    options.label_count = 1;
    options.seed = 5;
    options.steps = 4;
    options.on_step = print_step;
    failed = rae_generator_sample(generator, &options, &image, 1) || rae_image_save(image, path);
  }
  if (failed) fprintf(stderr, "%s: %s\n", rae_status_name(rae_last_status()), rae_last_error());
  return rae_image_free(image) || rae_generator_free(generator) || failed;
}

int main(int argc, char** argv) { return argc == 2 ? draw(argv[1]) : 2; }

/* usage: load_at_run_time LIBRARY: loads the library with dlopen, uses a handle, unloads it, and
 * loads it again. */
#include <dlfcn.h>
#include <rae/rae.h>
#include <stdio.h>
#include <string.h>

typedef const char* (*text_function)(void);
typedef rae_status (*create_function)(const void*, int, int64_t, int64_t, ptrdiff_t, rae_image**);
typedef rae_status (*size_function)(const rae_image*, int64_t*, int64_t*, int64_t*);
typedef rae_status (*free_function)(rae_image*);

/* Pointers to functions and to objects have the same size wherever dlsym exists. */
static int find(void* library, const char* name, void* function) {
  void* address = dlsym(library, name);
  memcpy(function, &address, sizeof address);
  if (address == NULL) fprintf(stderr, "there is no %s\n", name);
  return address == NULL;
}

static int use(const char* path) {
  static const unsigned char pixels[6] = {1, 2, 3, 4, 5, 6};
  text_function version, last_error;
  create_function create;
  size_function size;
  free_function release;
  rae_image* image = NULL;
  int64_t width = 0;
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  int failed;
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  failed = find(library, "rae_version", &version) || find(library, "rae_last_error", &last_error) ||
           find(library, "rae_image_create", &create) || find(library, "rae_image_size", &size) ||
           find(library, "rae_image_free", &release) || version() == NULL ||
           create(pixels, RAE_PIXELS_GRAY8, 3, 2, 0, &image) != RAE_OK ||
           size(image, &width, NULL, NULL) != RAE_OK || width != 3 || release(image) != RAE_OK ||
           release(image) != RAE_ERROR_ARGUMENT || strstr(last_error(), "freed") == NULL;
  return dlclose(library) != 0 || failed;
}

int main(int argc, char** argv) { return argc != 2 ? 2 : use(argv[1]) || use(argv[1]); }

/* The C interface of rae: pictures from class labels, pictures to latents and back.
 *
 * Conventions
 * - Functions return RAE_OK or an error code; the message is rae_last_error(). After an error,
 *   results are null and nothing was written. No C++ exception and no C++ type crosses this
 *   interface. Text is UTF-8 that ends with a zero byte.
 * - Objects are handles. They are numbers and not addresses, and none is used twice, so that a
 *   null, freed or foreign handle is an error (RAE_ERROR_ARGUMENT) and not undefined behaviour.
 *   Each function that returns a handle has a function that frees it. Freeing null does nothing.
 * - Structures begin with their size, which their `..._init` function sets together with the
 *   defaults. Later versions only add fields at the end: a library gives fields that the caller's
 *   structure does not have their defaults, and refuses fields that it does not know unless they
 *   are 0.
 * - Latents are normalised and have the shape (B, C, h, w): B samples, C channels, h x w tokens.
 *   Flow time t is 1 for noise and 0 for data.
 *
 * Threads
 * - All functions may be called by any thread. Errors belong to the thread that made the call.
 * - A generator or autoencoder computes for one thread at a time. A call by another thread does not
 *   wait, but returns RAE_ERROR_BUSY. Each thread should use its own copy (rae_generator_copy,
 *   rae_autoencoder_copy); copies share their weights. Loops of all threads share one pool.
 * - Latents and images never change, and may be used by several threads. Pointers into an object
 *   are valid until it is freed.
 */
#ifndef RAE_RAE_H
#define RAE_RAE_H

#include <stddef.h>
#include <stdint.h>

/* The version of this header; rae_version() is that of the library. */
#define RAE_VERSION_MAJOR 0
#define RAE_VERSION_MINOR 1
#define RAE_VERSION_PATCH 0

#if defined(__GNUC__)
#define RAE_C_API __attribute__((visibility("default")))
#else
#define RAE_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** A diffusion network with the decoder of its latents. */
typedef struct rae_generator rae_generator;
/** An encoder and its decoder. */
typedef struct rae_autoencoder rae_autoencoder;
/** Latents (B, C, h, w) of floats. */
typedef struct rae_latents rae_latents;
/** A picture of 8-bit samples, gray or RGB. */
typedef struct rae_image rae_image;

/** The result of a function. Values never change; later versions may add some. */
typedef enum rae_status {
  RAE_OK = 0,
  RAE_ERROR_ARGUMENT = 1, /**< an argument out of range, or a handle that is not valid */
  RAE_ERROR_SHAPE = 2,    /**< latents or pictures have another shape than the model */
  RAE_ERROR_FILE = 3,     /**< a file cannot be opened, read or written */
  RAE_ERROR_FORMAT = 4,   /**< a file was read, but its contents are not valid */
  RAE_ERROR_CONFIG = 5,   /**< the configuration of a model is not valid */
  RAE_ERROR_NUMERIC = 6,  /**< NaN or infinity where only finite numbers make sense */
  RAE_ERROR_MEMORY = 7,   /**< not enough memory */
  RAE_CANCELLED = 8,      /**< stopped by a callback or by a function `..._cancel` */
  RAE_ERROR_BUSY = 9,     /**< another thread uses the handle, or it is freed while it computes */
  RAE_ERROR_INTERNAL = 10 /**< an unexpected error, such as an exception thrown by a callback */
} rae_status;

/* --- Library ------------------------------------------------------------------------------- */

/** The version of the library, for example "0.1.0". */
RAE_C_API const char* rae_version(void);

/** The name of a status, for example "RAE_ERROR_FILE"; "unknown" for any other number. */
RAE_C_API const char* rae_status_name(int status);

/** The message of the last call of this thread that failed, "" if none did. It is valid until the
 * next failure on this thread. Successful calls do not change it. */
RAE_C_API const char* rae_last_error(void);

/** The status of that call; RAE_OK if none failed. */
RAE_C_API rae_status rae_last_status(void);

/** Number of threads of parallel loops. Results do not depend on it. */
RAE_C_API int rae_threads(void);

/** Sets it, from 1 to 1024; 0 takes the number of processors that the process may use. */
RAE_C_API rae_status rae_set_threads(int threads);

/** Version, kernels and threads in one line. It is valid until the next call on this thread. */
RAE_C_API const char* rae_system_info(void);

/* --- Images -------------------------------------------------------------------------------- */

/** Layouts of pixels in memory: samples of 8 bits, or floats in [0, 1], which are clamped and
 * rounded to 8 bits. */
typedef enum rae_pixel_format {
  RAE_PIXELS_GRAY8 = 0,
  RAE_PIXELS_RGB8 = 1,
  RAE_PIXELS_BGR8 = 2,
  RAE_PIXELS_GRAY_F32 = 3,
  RAE_PIXELS_RGB_F32 = 4,
  RAE_PIXELS_BGR_F32 = 5
} rae_pixel_format;

/** Copies width x height pixels of a rae_pixel_format. `row_stride` is the number of bytes from a
 * row to the next one; 0 means that rows follow each other without a gap, and a negative number
 * that they are stored from the bottom to the top (`pixels` is then the top row). */
RAE_C_API rae_status rae_image_create(const void* pixels, int format, int64_t width, int64_t height,
                                      ptrdiff_t row_stride, rae_image** image);

/** Reads a PNG, JPEG, WebP or BMP file, turned upright by its EXIF orientation. */
RAE_C_API rae_status rae_image_load(const char* path, rae_image** image);

/** Writes a PNG file; it appears whole or not at all. A picture that was generated is written with
 * its settings as text: model, class, seed, steps and guidance. */
RAE_C_API rae_status rae_image_save(const rae_image* image, const char* path);

/** Width, height, and channels: 1 (gray) or 3 (RGB). Each pointer may be null. */
RAE_C_API rae_status rae_image_size(const rae_image* image, int64_t* width, int64_t* height,
                                    int64_t* channels);

/** The samples by row, then column, then channel, without gaps, and their number. `count` may be
 * null. */
RAE_C_API rae_status rae_image_data(const rae_image* image, const uint8_t** samples, size_t* count);

/** Frees a picture. */
RAE_C_API rae_status rae_image_free(rae_image* image);

/* --- Latents ------------------------------------------------------------------------------- */

/** Copies values of the shape (B, C, h, w) in row-major order. */
RAE_C_API rae_status rae_latents_create(const float* values, const int64_t shape[4],
                                        rae_latents** latents);

/** Reads the tensor "latent" of a safetensors file, as `rae encode` writes it, or "sample_latent",
 * as `rae generate` does. */
RAE_C_API rae_status rae_latents_load(const char* path, rae_latents** latents);

/** Writes a safetensors file with the tensor "latent", which `rae decode` reads. */
RAE_C_API rae_status rae_latents_save(const rae_latents* latents, const char* path);

/** The shape (B, C, h, w). */
RAE_C_API rae_status rae_latents_shape(const rae_latents* latents, int64_t shape[4]);

/** The values in row-major order, and their number. `count` may be null. */
RAE_C_API rae_status rae_latents_data(const rae_latents* latents, const float** values,
                                      size_t* count);

/** Frees latents. */
RAE_C_API rae_status rae_latents_free(rae_latents* latents);

/* --- Models -------------------------------------------------------------------------------- */

/** Options of loading a model. */
typedef struct rae_load_options {
  size_t size;
  /** The type of the weights in matrix products: "f32", "bf16", "int8", "int8w" or "int4"; null:
   * f32, or the type that the file is packed for; "auto": the type that the file is packed for, or
   * the fastest on this processor whose error is at most 2 % (auto_dtype.hpp). */
  const char* dtype;
  /** 1: all networks are in memory. 0: a network is loaded when it is first used, and the others
   * are then released. Default 1. */
  int64_t keep_loaded;
  /** Limit of the bytes that weights take; 0: the memory that the system reports as free. */
  uint64_t available_memory;
} rae_load_options;

/** Sets the defaults; `size` is sizeof(rae_load_options). */
RAE_C_API rae_status rae_load_options_init(rae_load_options* options, size_t size);

/** Facts about a model. Texts are valid until its handle is freed. */
typedef struct rae_model_info {
  size_t size;             /**< set by the caller to sizeof(rae_model_info) */
  const char* name;        /**< of the model */
  const char* dtype;       /**< of the weights, "mixed" for several; null for an autoencoder */
  int64_t classes;         /**< number of classes; labels are 0 to classes - 1 */
  int64_t null_class;      /**< label of "no class" in rae_generator_velocity; -1: there is none */
  int64_t image_channels;  /**< 1 (gray) or 3 (RGB) */
  int64_t image_height;    /**< of the pictures, in pixels */
  int64_t image_width;     /**< of the pictures, in pixels */
  int64_t latent_channels; /**< C */
  int64_t latent_height;   /**< h */
  int64_t latent_width;    /**< w */
  int64_t steps;           /**< the model's default number of sampling steps */
} rae_model_info;

/* --- Generator ----------------------------------------------------------------------------- */

/** The state of sampling after a step, valid during the callback. */
typedef struct rae_step {
  size_t size;           /**< of the structure in this library */
  int64_t step;          /**< number of finished steps, 1 to `steps`, over all batches */
  int64_t steps;         /**< total number of steps */
  double time;           /**< flow time that the state has reached, from 1 (noise) to 0 (data) */
  int64_t first_picture; /**< position of the batch's first picture among all labels */
  int64_t pictures;      /**< number of pictures in the batch */
  /** The denoised estimate (pictures, C, h, w): the data that the velocity at the beginning of the
   * step leads to. It is freed after the call. Null at a time at which the velocity does not
   * determine the data. */
  const rae_latents* denoised;
  /** The state (pictures, C, h, w) after the step. It is freed after the call. */
  const rae_latents* state;
} rae_step;

/** Called by the sampling thread after each step. A result other than 0 stops sampling, which then
 * returns RAE_CANCELLED. It may use all functions, also with the generator that is sampling, but
 * not free that generator. */
typedef int (*rae_step_callback)(const rae_step* step, void* user_data);

/** Kinds of guidance. */
enum {
  RAE_GUIDANCE_MODEL = 0,   /**< the model's default */
  RAE_GUIDANCE_NONE = 1,    /**< none */
  RAE_GUIDANCE_CFG = 2,     /**< classifier-free guidance */
  RAE_GUIDANCE_GUIDE = 3,   /**< autoguidance, by the model's weaker network */
  RAE_GUIDANCE_INTERNAL = 4 /**< internal guidance, by the head on an intermediate layer */
};

/** The pictures to generate, and the settings of sampling. Null texts, and numbers for which the
 * comment says so, take the model's default. */
typedef struct rae_sample_options {
  size_t size;
  const int64_t* labels;  /**< the class of each picture */
  size_t label_count;     /**< number of pictures, at least 1 */
  uint64_t seed;          /**< of the noise; default 0 */
  uint64_t first_index;   /**< picture i uses stream first_index + i of the seed; default 0 */
  int64_t steps;          /**< 1 to 100000; 0 (default): the model's */
  const char* sampler;    /**< "ode" (deterministic) or "sde" (stochastic) */
  const char* grid;       /**< times of the steps: "full" or "official" */
  const char* solver;     /**< of the deterministic sampler: "euler", "heun", "dopri5", ... */
  double atol;            /**< of adaptive solvers and implicit_adams; -1 (default): the model's */
  double rtol;            /**< as atol */
  int64_t guidance;       /**< RAE_GUIDANCE_MODEL (default), ... */
  double guidance_scale;  /**< of the last three kinds; 1 (default) is none */
  double guidance_t_min;  /**< guided for guidance_t_min <= t <= guidance_t_max; default 0 */
  double guidance_t_max;  /**< default 1 */
  const char* sde_solver; /**< of the stochastic sampler: "euler" or "heun" */
  const char* diffusion_form; /**< of the stochastic sampler: "sigma", "sbdm", ... */
  double diffusion_norm;      /**< of the stochastic sampler; -1 (default): the model's */
  const char* last_step;      /**< of the stochastic sampler: "none", "mean", "euler", "tweedie" */
  double last_step_size;     /**< of the stochastic sampler, in (0, 1); -1 (default): the model's */
  const char* rng;           /**< "philox" (if null), or "torch-cpu" for the noise of PyTorch */
  int64_t batch_size;        /**< pictures per batch; 0 (default) chooses */
  const rae_latents* noise;  /**< noise (B, C, h, w) instead of that of the seed; may be null */
  double reuse_error;        /**< see GenerateOptions::reuse_error in C++; default 0: exact */
  rae_step_callback on_step; /**< called after each step; may be null */
  void* user_data;           /**< passed to on_step */
  const rae_latents* init;   /**< latents of pictures to begin with, one per label or one for all;
                                may be null */
  double strength;         /**< with init: the share of the steps that are taken, 0 to 1 (default):
                              see GenerateOptions::strength in C++ */
  const rae_latents* mask; /**< with init: (B, 1, h, w), tokens with 1 change, those with 0 keep
                              the latents of init; may be null. See rae_autoencoder_mask */
  const char* preset;      /**< "exact" (if null), "balanced" or "fast": settings for the members
                              that have their defaults */
} rae_sample_options;

/** Sets the defaults; `size` is sizeof(rae_sample_options). Then set `labels` and `label_count`. */
RAE_C_API rae_status rae_sample_options_init(rae_sample_options* options, size_t size);

/** Loads a model from a bundle. `options` may be null. */
RAE_C_API rae_status rae_generator_load(const char* path, const rae_load_options* options,
                                        rae_generator** generator);

/** Loads the model NAME.safetensors from the first folder that has it: that in the environment
 * variable RAE_MODELS, then those of the installation. Null: the built-in model. `options` may be
 * null. */
RAE_C_API rae_status rae_generator_builtin(const char* name, const rae_load_options* options,
                                           rae_generator** generator);

/** A second handle for another thread, which shares the weights. */
RAE_C_API rae_status rae_generator_copy(const rae_generator* generator, rae_generator** copy);

/** Facts about the model; set info->size first. */
RAE_C_API rae_status rae_generator_info(const rae_generator* generator, rae_model_info* info);

/** The name of a class, valid until the handle is freed; null when the model has no names. */
RAE_C_API rae_status rae_generator_class_name(const rae_generator* generator, int64_t label,
                                              const char** name);

/** The class of a name, in any case, or of a number ("7"). */
RAE_C_API rae_status rae_generator_label(const rae_generator* generator, const char* name,
                                         int64_t* label);

/** One picture for each label, in `images`, whose length `count` must be options->label_count. */
RAE_C_API rae_status rae_generator_sample(rae_generator* generator,
                                          const rae_sample_options* options, rae_image** images,
                                          size_t count);

/** The latents (B, C, h, w) of those pictures, before decoding. */
RAE_C_API rae_status rae_generator_sample_latents(rae_generator* generator,
                                                  const rae_sample_options* options,
                                                  rae_latents** latents);

/** Pictures of latents (B, C, h, w), in `images`, whose length `count` must be B. */
RAE_C_API rae_status rae_generator_decode(rae_generator* generator, const rae_latents* latents,
                                          rae_image** images, size_t count);

/** In a callback: the denoised estimate of a picture of the batch, 0 to step->pictures - 1, as a
 * picture. */
RAE_C_API rae_status rae_generator_preview(rae_generator* generator, const rae_step* step,
                                           int64_t picture, rae_image** image);

/** In a callback: sampling continues from the latents (pictures, C, h, w) instead of step->state;
 * after the last step they are the result. */
RAE_C_API rae_status rae_step_replace(const rae_step* step, const rae_latents* latents);

/** The output of the diffusion network without guidance at states x (B, C, h, w) and a time in
 * [0, 1], with one label for each state: the velocity (B, C, h, w), or the model's other
 * prediction. */
RAE_C_API rae_status rae_generator_velocity(rae_generator* generator, const rae_latents* x,
                                            double time, const int64_t* labels, size_t label_count,
                                            rae_latents** velocity);

/** The noise (count, C, h, w) from which sampling starts. */
RAE_C_API rae_status rae_generator_noise(const rae_generator* generator, uint64_t seed,
                                         uint64_t first_index, int64_t count, rae_latents** noise);

/** Stops what this handle computes, within milliseconds; the call returns RAE_CANCELLED. For any
 * thread. Without a call in progress it has no effect. */
RAE_C_API rae_status rae_generator_cancel(const rae_generator* generator);

/** RAE_ERROR_BUSY while the handle computes; it is then not freed. */
RAE_C_API rae_status rae_generator_free(rae_generator* generator);

/* --- Autoencoder --------------------------------------------------------------------------- */

/** As rae_generator_load. */
RAE_C_API rae_status rae_autoencoder_load(const char* path, const rae_load_options* options,
                                          rae_autoencoder** autoencoder);

/** As rae_generator_builtin. */
RAE_C_API rae_status rae_autoencoder_builtin(const char* name, const rae_load_options* options,
                                             rae_autoencoder** autoencoder);

/** As rae_generator_copy. */
RAE_C_API rae_status rae_autoencoder_copy(const rae_autoencoder* autoencoder,
                                          rae_autoencoder** copy);

/** As rae_generator_info. */
RAE_C_API rae_status rae_autoencoder_info(const rae_autoencoder* autoencoder, rae_model_info* info);

/** The latents (count, C, h, w) of pictures of any sizes: the central part of each is resized to
 * the model's size. */
RAE_C_API rae_status rae_autoencoder_encode(rae_autoencoder* autoencoder,
                                            const rae_image* const* images, size_t count,
                                            rae_latents** latents);

/** As rae_generator_decode. */
RAE_C_API rae_status rae_autoencoder_decode(rae_autoencoder* autoencoder,
                                            const rae_latents* latents, rae_image** images,
                                            size_t count);

/** The picture as the model takes it: its central part at the model's size, gray or RGB. */
RAE_C_API rae_status rae_autoencoder_prepare(const rae_autoencoder* autoencoder,
                                             const rae_image* image, rae_image** prepared);

/** The mask (1, 1, h, w) of the model's tokens for rae_sample_options, from a picture of the size
 * of those that are encoded: white where they change, black where they are kept. */
RAE_C_API rae_status rae_autoencoder_mask(const rae_autoencoder* autoencoder,
                                          const rae_image* image, rae_latents** mask);

/** The picture after encoding and decoding, to be compared with the prepared one. */
RAE_C_API rae_status rae_autoencoder_reconstruct(rae_autoencoder* autoencoder,
                                                 const rae_image* image, rae_image** reconstructed);

/** As rae_generator_cancel. */
RAE_C_API rae_status rae_autoencoder_cancel(const rae_autoencoder* autoencoder);

/** As rae_generator_free. */
RAE_C_API rae_status rae_autoencoder_free(rae_autoencoder* autoencoder);

#ifdef __cplusplus
}
#endif

#endif

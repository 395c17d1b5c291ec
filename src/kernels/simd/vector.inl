// Vectors of kVectorBytes, by the vector extension that g++ and clang share. Included inside an
// anonymous namespace.

#if defined(__clang__)
#define RAE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RAE_UNROLL _Pragma("GCC unroll 16")
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  static constexpr index_t lanes = static_cast<index_t>(kVectorBytes / sizeof(T));
};
template <class T>
using Vector = typename VectorOf<T>::type;

// T[n] for a signed count: counts are signed here, as the indices that run up to them.
template <class T, index_t n>
using Array = T[static_cast<unsigned long>(n)];

// x in every lane. Subtracting zero changes no number, so compilers emit only the broadcast.
template <class T>
inline Vector<T> broadcast(T x) {
  return x - Vector<T>{};
}

// A vector at any address.
template <class T>
inline Vector<T> load(const T* p) {
  Vector<T> x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
template <class T>
inline void store(Vector<T> x, T* p) {
  __builtin_memcpy(p, &x, sizeof x);
}

// x rounded to its type: prevents the compiler from fusing the multiplication that computed x with
// the addition that follows.
template <class V>
inline V rounded(V x) {
#if defined(__x86_64__)
  __asm__("" : "+v"(x));
#elif defined(__aarch64__)
  __asm__("" : "+w"(x));
#else
  __asm__("" : "+m"(x));
#endif
  return x;
}

// char1 .. double4: HIP_vector_type<T, n> with HIP's sizes and alignments, constructors and operators.
#pragma once

namespace greta {

// One, two and four elements are aligned to their size, three elements to one of them, as in HIP.
template <typename T, unsigned n> struct vector_base;
template <typename T> struct alignas(sizeof(T)) vector_base<T, 1> { T x; };
template <typename T> struct alignas(2 * sizeof(T)) vector_base<T, 2> { T x, y; };
template <typename T> struct vector_base<T, 3> { T x, y, z; };
template <typename T> struct alignas(4 * sizeof(T)) vector_base<T, 4> { T x, y, z, w; };

template <typename T, bool = true> struct only_if { using type = T; };
template <typename T> struct only_if<T, false> {};

}  // namespace greta

template <typename T, unsigned n> struct HIP_vector_type : greta::vector_base<T, n> {
  using value_type = T;
  using Native_vec_ = T __attribute__((ext_vector_type(n)));
  // The same elements as clang's own vector.
  __declspec(property(get = get_data, put = set_data)) Native_vec_ data;
  GRETA_MEMBER Native_vec_ get_data() const {
    Native_vec_ all{};
    all[0] = this->x;
    if constexpr (n > 1) all[1] = this->y;
    if constexpr (n > 2) all[2] = this->z;
    if constexpr (n > 3) all[3] = this->w;
    return all;
  }
  GRETA_MEMBER void set_data(Native_vec_ all) {
    this->x = all[0];
    if constexpr (n > 1) this->y = all[1];
    if constexpr (n > 2) this->z = all[2];
    if constexpr (n > 3) this->w = all[3];
  }
  __attribute__((host, device, always_inline)) T& operator[](__SIZE_TYPE__ i) { return (&this->x)[i]; }
  __attribute__((host, device, always_inline)) T operator[](__SIZE_TYPE__ i) const { return (&this->x)[i]; }
  HIP_vector_type() = default;
  // All elements the same.
  template <typename U, typename = typename greta::only_if<U, __is_convertible(U, T)>::type>
  GRETA_MEMBER explicit HIP_vector_type(U all) : greta::vector_base<T, n>{} {
    this->x = static_cast<T>(all);
    if constexpr (n > 1) this->y = static_cast<T>(all);
    if constexpr (n > 2) this->z = static_cast<T>(all);
    if constexpr (n > 3) this->w = static_cast<T>(all);
  }
  template <typename U, typename V, typename... Rest, typename = typename greta::only_if<U, sizeof...(Rest) + 2 == n>::type>
  GRETA_MEMBER HIP_vector_type(U x, V y, Rest... rest)
      : greta::vector_base<T, n>{static_cast<T>(x), static_cast<T>(y), static_cast<T>(rest)...} {}
};

#define GRETA_VECTOR template <typename T, unsigned n> GRETA_MEMBER
#define GRETA_VECTOR_SCALAR \
  template <typename T, unsigned n, typename U, typename = typename greta::only_if<U, __is_convertible(U, T)>::type> GRETA_MEMBER
// An operator, element by element: between vectors, and with a scalar on either side.
#define GRETA_VECTOR_OPERATOR(op, assign)                                                                          \
  GRETA_VECTOR HIP_vector_type<T, n>& operator assign(HIP_vector_type<T, n>& a, const HIP_vector_type<T, n>& b) {  \
    a.x assign b.x;                                                                                                \
    if constexpr (n > 1) a.y assign b.y;                                                                           \
    if constexpr (n > 2) a.z assign b.z;                                                                           \
    if constexpr (n > 3) a.w assign b.w;                                                                           \
    return a;                                                                                                      \
  }                                                                                                                \
  GRETA_VECTOR_SCALAR HIP_vector_type<T, n>& operator assign(HIP_vector_type<T, n>& a, U b) {                      \
    return a assign HIP_vector_type<T, n>(b);                                                                      \
  }                                                                                                                \
  GRETA_VECTOR HIP_vector_type<T, n> operator op(HIP_vector_type<T, n> a, const HIP_vector_type<T, n>& b) {        \
    return a assign b;                                                                                             \
  }                                                                                                                \
  GRETA_VECTOR_SCALAR HIP_vector_type<T, n> operator op(HIP_vector_type<T, n> a, U b) {                            \
    return a assign HIP_vector_type<T, n>(b);                                                                      \
  }                                                                                                                \
  GRETA_VECTOR_SCALAR HIP_vector_type<T, n> operator op(U a, const HIP_vector_type<T, n>& b) {                     \
    return HIP_vector_type<T, n>(a) op b;                                                                          \
  }

GRETA_VECTOR_OPERATOR(+, +=)
GRETA_VECTOR_OPERATOR(-, -=)
GRETA_VECTOR_OPERATOR(*, *=)
GRETA_VECTOR_OPERATOR(/, /=)
GRETA_VECTOR_OPERATOR(%, %=)
GRETA_VECTOR_OPERATOR(&, &=)
GRETA_VECTOR_OPERATOR(|, |=)
GRETA_VECTOR_OPERATOR(^, ^=)
GRETA_VECTOR_OPERATOR(<<, <<=)
GRETA_VECTOR_OPERATOR(>>, >>=)
#undef GRETA_VECTOR_OPERATOR

GRETA_VECTOR bool operator==(const HIP_vector_type<T, n>& a, const HIP_vector_type<T, n>& b) {
  bool equal = a.x == b.x;
  if constexpr (n > 1) equal = equal && a.y == b.y;
  if constexpr (n > 2) equal = equal && a.z == b.z;
  if constexpr (n > 3) equal = equal && a.w == b.w;
  return equal;
}
GRETA_VECTOR bool operator!=(const HIP_vector_type<T, n>& a, const HIP_vector_type<T, n>& b) { return !(a == b); }
GRETA_VECTOR HIP_vector_type<T, n> operator+(const HIP_vector_type<T, n>& a) { return a; }
GRETA_VECTOR HIP_vector_type<T, n> operator-(HIP_vector_type<T, n> a) {
  a.x = -a.x;  // not 0 - x, which loses the sign of zero
  if constexpr (n > 1) a.y = -a.y;
  if constexpr (n > 2) a.z = -a.z;
  if constexpr (n > 3) a.w = -a.w;
  return a;
}
GRETA_VECTOR HIP_vector_type<T, n> operator~(HIP_vector_type<T, n> a) { return a ^ HIP_vector_type<T, n>(~T(0)); }
GRETA_VECTOR HIP_vector_type<T, n>& operator++(HIP_vector_type<T, n>& a) { return a += T(1); }
GRETA_VECTOR HIP_vector_type<T, n>& operator--(HIP_vector_type<T, n>& a) { return a -= T(1); }
GRETA_VECTOR HIP_vector_type<T, n> operator++(HIP_vector_type<T, n>& a, int) {
  HIP_vector_type<T, n> old = a;
  ++a;
  return old;
}
GRETA_VECTOR HIP_vector_type<T, n> operator--(HIP_vector_type<T, n>& a, int) {
  HIP_vector_type<T, n> old = a;
  --a;
  return old;
}
#undef GRETA_VECTOR
#undef GRETA_VECTOR_SCALAR

// The functions that make them are templates, so that nothing is made of the types that a source does not name.
#define GRETA_VECTOR_NAMES(T, name)                                                                                 \
  using name##1 = HIP_vector_type<T, 1>;                                                                            \
  using name##2 = HIP_vector_type<T, 2>;                                                                            \
  using name##3 = HIP_vector_type<T, 3>;                                                                            \
  using name##4 = HIP_vector_type<T, 4>;                                                                            \
  template <typename V = name##1> static GRETA_MEMBER V make_##name##1(T x) { return V(x); }                        \
  template <typename V = name##2> static GRETA_MEMBER V make_##name##2(T x, T y) { return V(x, y); }                \
  template <typename V = name##3> static GRETA_MEMBER V make_##name##3(T x, T y, T z) { return V(x, y, z); }        \
  template <typename V = name##4> static GRETA_MEMBER V make_##name##4(T x, T y, T z, T w) { return V(x, y, z, w); }

GRETA_VECTOR_NAMES(char, char)
GRETA_VECTOR_NAMES(unsigned char, uchar)
GRETA_VECTOR_NAMES(short, short)
GRETA_VECTOR_NAMES(unsigned short, ushort)
GRETA_VECTOR_NAMES(int, int)
GRETA_VECTOR_NAMES(unsigned, uint)
GRETA_VECTOR_NAMES(long, long)
GRETA_VECTOR_NAMES(unsigned long, ulong)
GRETA_VECTOR_NAMES(long long, longlong)
GRETA_VECTOR_NAMES(unsigned long long, ulonglong)
GRETA_VECTOR_NAMES(float, float)
GRETA_VECTOR_NAMES(double, double)
#undef GRETA_VECTOR_NAMES

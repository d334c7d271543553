// C's <stdint.h> for device code.
#pragma once
using int8_t = __INT8_TYPE__;
using uint8_t = __UINT8_TYPE__;
using int_least8_t = int8_t;
using uint_least8_t = uint8_t;
using int_fast8_t = int8_t;
using uint_fast8_t = uint8_t;
using int16_t = __INT16_TYPE__;
using uint16_t = __UINT16_TYPE__;
using int_least16_t = int16_t;
using uint_least16_t = uint16_t;
using int_fast16_t = int16_t;
using uint_fast16_t = uint16_t;
using int32_t = __INT32_TYPE__;
using uint32_t = __UINT32_TYPE__;
using int_least32_t = int32_t;
using uint_least32_t = uint32_t;
using int_fast32_t = int32_t;
using uint_fast32_t = uint32_t;
using int64_t = __INT64_TYPE__;
using uint64_t = __UINT64_TYPE__;
using int_least64_t = int64_t;
using uint_least64_t = uint64_t;
using int_fast64_t = int64_t;
using uint_fast64_t = uint64_t;
using intptr_t = __INTPTR_TYPE__;
using uintptr_t = __UINTPTR_TYPE__;
using intmax_t = __INTMAX_TYPE__;
using uintmax_t = __UINTMAX_TYPE__;
#define INT8_MAX __INT8_MAX__
#define INT8_MIN (-__INT8_MAX__ - 1)
#define UINT8_MAX __UINT8_MAX__
#define INT16_MAX __INT16_MAX__
#define INT16_MIN (-__INT16_MAX__ - 1)
#define UINT16_MAX __UINT16_MAX__
#define INT32_MAX __INT32_MAX__
#define INT32_MIN (-__INT32_MAX__ - 1)
#define UINT32_MAX __UINT32_MAX__
#define INT64_MAX __INT64_MAX__
#define INT64_MIN (-__INT64_MAX__ - 1)
#define UINT64_MAX __UINT64_MAX__
#define INTPTR_MAX __INTPTR_MAX__
#define UINTPTR_MAX __UINTPTR_MAX__
#define SIZE_MAX __SIZE_MAX__

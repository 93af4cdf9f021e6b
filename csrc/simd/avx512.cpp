// AVX-512 F, BW, DQ, VL: 16 floats a vector.
#define ELMAN_ISA avx512
#define ELMAN_VECTOR_BYTES 64
#include "stream/table.h"

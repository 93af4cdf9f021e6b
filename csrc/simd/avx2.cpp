// AVX2 and FMA: 8 floats a vector.
#define ELMAN_ISA avx2
#define ELMAN_VECTOR_BYTES 32
#include "stream/table.h"

// AVX-512 with VNNI, and products of pairs of bfloat16.
#define ELMAN_ISA avx512bf16
#define ELMAN_VECTOR_BYTES 64
#include "stream/table.h"

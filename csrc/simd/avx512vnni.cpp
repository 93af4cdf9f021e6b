// AVX-512 with VNNI, which multiplies and sums four numbers of 8 bits in one instruction.
#define ELMAN_ISA avx512vnni
#define ELMAN_VECTOR_BYTES 64
#include "stream/table.h"

// AVX-512 with BF16 and VNNI, which multiply 16-bit and 8-bit numbers in one instruction.
#define ELMAN_ISA avx512bf16
#define ELMAN_VECTOR_BYTES 64
#include "stream/table.h"

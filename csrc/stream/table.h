// Fills in the table of one instruction set; included once by each file of simd/.
#include "recurrence/draw.h"
#include "recurrence/run.h"
#include "simd/isa.h"
#include "stream/softmax.h"
#include "stream/step.h"

namespace elman::ELMAN_ISA {

template <class T>
void apply(Function function, const T* in, T* out, size_t n) {
    for (size_t i = 0; i < n; i += lanes<T>) {
        const size_t some = n - i < lanes<T> ? n - i : lanes<T>;
        Vec<T> v{};
        __builtin_memcpy(&v, in + i, some * sizeof(T));
        switch (function) {
            case Function::exp: v = exp<T>(v); break;
            case Function::tanh: v = tanh<T>(v); break;
            case Function::sigmoid: v = sigmoid<T>(v); break;
        }
        __builtin_memcpy(out + i, &v, some * sizeof(T));
    }
}

inline void step_bfloat16(const Layer<float>& layer, const Frame<float>& frame) {
#ifdef ELMAN_TILES
    if (layer.tiled) return step<Tiled>(layer, frame);
#endif
    step<BFloat16>(layer, frame);
}

template <class T, class... Steps>
constexpr Routines<T> routines_of(Steps... steps) {
    return {{steps...}, log_softmax<T>, forward<T>, backward<T>, draw<T>, apply<T>};
}

#define ELMAN_STRING(name) #name
#define ELMAN_NAME(name) ELMAN_STRING(name)

constexpr Kernels table = {
    routines_of<float>(step<Plain<float>>, step_bfloat16, step<Int8>),
    routines_of<double>(step<Plain<double>>),
    ELMAN_NAME(ELMAN_ISA),
    ELMAN_VECTOR_BYTES,
    Int8::group,
    tiled<float>,
};

}  // namespace elman::ELMAN_ISA

const elman::Kernels elman::Kernels::ELMAN_ISA = elman::ELMAN_ISA::table;

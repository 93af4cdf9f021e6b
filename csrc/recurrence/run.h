// From a kind of cell at run time to the code that is made for it.
#pragma once

#include "recurrence/backward.h"
#include "recurrence/forward.h"

namespace elman::ELMAN_ISA {

template <class T>
void forward(const Sequence<T>& s, const Team& team) {
    switch (s.cell) {
        case Cell::elman: return Forward<T, ElmanCell>(s, team).run();
        case Cell::gru: return Forward<T, GruCell>(s, team).run();
        case Cell::lstm: return Forward<T, LstmCell>(s, team).run();
    }
}

template <class T>
void backward(const Sequence<T>& s, const Gradients<T>& d, const Team& team) {
    switch (s.cell) {
        case Cell::elman: return Backward<T, ElmanCell>(s, d, team).run();
        case Cell::gru: return Backward<T, GruCell>(s, d, team).run();
        case Cell::lstm: return Backward<T, LstmCell>(s, d, team).run();
    }
}

}  // namespace elman::ELMAN_ISA

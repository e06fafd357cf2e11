#include "tensor/dtype.h"

namespace planeloom {

DTypeInfo dtype_info(DType type) {
  switch (type) {
    case DType::kF32:
      return {"F32", 1, 4};
    case DType::kF16:
      return {"F16", 1, 2};
    case DType::kQ4_0:
      return {"Q4_0", 32, 18};
    case DType::kQ4_1:
      return {"Q4_1", 32, 20};
    case DType::kQ5_0:
      return {"Q5_0", 32, 22};
    case DType::kQ5_1:
      return {"Q5_1", 32, 24};
    case DType::kQ8_0:
      return {"Q8_0", 32, 34};
    case DType::kQ2_K:
      return {"Q2_K", 256, 84};
    case DType::kQ3_K:
      return {"Q3_K", 256, 110};
    case DType::kQ4_K:
      return {"Q4_K", 256, 144};
    case DType::kQ5_K:
      return {"Q5_K", 256, 176};
    case DType::kQ6_K:
      return {"Q6_K", 256, 210};
    case DType::kIQ1_S:
      return {"IQ1_S", 256, 50};
    case DType::kIQ1_M:
      return {"IQ1_M", 256, 56};
    case DType::kIQ2_XXS:
      return {"IQ2_XXS", 256, 66};
    case DType::kIQ2_XS:
      return {"IQ2_XS", 256, 74};
    case DType::kIQ2_S:
      return {"IQ2_S", 256, 82};
    case DType::kIQ3_XXS:
      return {"IQ3_XXS", 256, 98};
    case DType::kIQ3_S:
      return {"IQ3_S", 256, 110};
    case DType::kIQ4_NL:
      return {"IQ4_NL", 32, 18};
    case DType::kIQ4_XS:
      return {"IQ4_XS", 256, 136};
    case DType::kI8:
      return {"I8", 1, 1};
    case DType::kI16:
      return {"I16", 1, 2};
    case DType::kI32:
      return {"I32", 1, 4};
    case DType::kI64:
      return {"I64", 1, 8};
    case DType::kF64:
      return {"F64", 1, 8};
    case DType::kBF16:
      return {"BF16", 1, 2};
    case DType::kTQ1_0:
      return {"TQ1_0", 256, 54};
    case DType::kTQ2_0:
      return {"TQ2_0", 256, 66};
  }
  return {nullptr, 0, 0};
}

}  // namespace planeloom

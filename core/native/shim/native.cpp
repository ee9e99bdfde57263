// libtorch functions that tch does not bind. Every function catches C++ exceptions: 0 means success; after 1,
// anyflow_native_error() returns the reason, on the same thread.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/ScalarTypeToTypeMeta.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using Tensors = std::vector<at::Tensor>;
using Handles = const at::Tensor *const *;

thread_local std::string last_error;

template <typename F>
int caught(F &&call) noexcept {
  try {
    call();
    return 0;
  } catch (const c10::Error &error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception &error) {
    last_error = error.what();
  } catch (...) {
    last_error = "unknown exception";
  }
  return 1;
}

Tensors listed(Handles handles, size_t count) {
  Tensors tensors;
  tensors.reserve(count);
  for (size_t i = 0; i < count; ++i) tensors.push_back(*handles[i]);
  return tensors;
}

// The kernels walk over memory without checking strides, shapes and types.
void check_alike(const at::Tensor &weight, const at::Tensor &other, const char *what, size_t i) {
  TORCH_CHECK(other.sizes() == weight.sizes() && other.strides() == weight.strides(), what, " ", i, " has shape ",
              other.sizes(), " and strides ", other.strides(), ", its weight ", weight.sizes(), " and ",
              weight.strides());
  TORCH_CHECK(other.scalar_type() == weight.scalar_type() && other.device() == weight.device(), what, " ", i, " is ",
              other.scalar_type(), " on ", other.device(), ", its weight ", weight.scalar_type(), " on ",
              weight.device());
}

// The gradient in the layout of its weight; it is copied if its layout differs.
at::Tensor laid_out_as(const at::Tensor &weight, const at::Tensor &gradient) {
  const bool other_order = gradient.sizes() == weight.sizes() && gradient.strides() != weight.strides();
  return other_order ? at::empty_like(weight).copy_(gradient) : gradient;
}

// The sum of squares of dense memory, in parts, so that f32 is exact enough inside one.
double squares(const float *values, int64_t count) {
  constexpr int64_t part = 2048, lanes = 16;
  double sum = 0;
  for (int64_t start = 0; start < count; start += part) {
    const int64_t end = std::min(start + part, count), whole = start + (end - start) / lanes * lanes;
    float lane[lanes] = {};
    for (int64_t i = start; i < whole; i += lanes)
      for (int64_t j = 0; j < lanes; ++j) lane[j] += values[i + j] * values[i + j];
    for (int64_t i = whole; i < end; ++i) lane[0] += values[i] * values[i];
    for (float of_lane : lane) sum += of_lane;
  }
  return sum;
}

// The Euclidean norm over all elements of dense tensors. On the CPU, calls cost more than the sums of small networks.
at::Tensor norm_of(const Tensors &tensors) {
  constexpr int64_t small = 1 << 20;
  int64_t elements = 0;
  bool plain = true;
  for (const at::Tensor &tensor : tensors) {
    elements += tensor.numel();
    plain = plain && tensor.is_cpu() && tensor.scalar_type() == at::kFloat;
  }
  if (!plain || elements > small) return at::linalg_vector_norm(at::stack(at::_foreach_norm(tensors)));
  double sum = 0;
  for (const at::Tensor &tensor : tensors) sum += squares(tensor.const_data_ptr<float>(), tensor.numel());
  return at::scalar_tensor(std::sqrt(sum), at::kFloat);
}

struct Adamw {
  Tensors weights, first, second, averages, count_of;
  at::Tensor counts, failed;
};

struct AdamwLists {
  Handles weights, first, second, averages;
  const at::Tensor *counts, *failed;
};

struct AdamwNumbers {
  double lr, beta1, beta2, weight_decay, epsilon, clip, average;
};

// Keeps the clipping coefficient finite if the gradient is zero.
constexpr double norm_epsilon = 1e-6;

}  // namespace

extern "C" {

const char *anyflow_native_error() { return last_error.c_str(); }

// The lists have `count` entries each, the averages none or as many.
int anyflow_native_adamw_new(const AdamwLists *lists, size_t count, size_t averages, Adamw **out) {
  return caught([&] {
    const at::Tensor &counts = *lists->counts;
    TORCH_CHECK(counts.dim() == 1 && counts.numel() == int64_t(count) && counts.scalar_type() == at::kFloat,
                "the step counts must be one float32 per weight");
    auto adamw = std::make_unique<Adamw>(Adamw{listed(lists->weights, count), listed(lists->first, count),
                                               listed(lists->second, count), listed(lists->averages, averages),
                                               counts.unbind(), counts, *lists->failed});
    for (size_t i = 0; i < count; ++i) {
      const at::Tensor &weight = adamw->weights[i];
      TORCH_CHECK(weight.is_non_overlapping_and_dense(), "weight ", i, " is not dense");
      check_alike(weight, adamw->first[i], "first moment", i);
      check_alike(weight, adamw->second[i], "second moment", i);
    }
    *out = adamw.release();
  });
}

int anyflow_native_adamw_free(Adamw *adamw) {
  return caught([&] { delete adamw; });
}

// *norm: a new handle on the norm of the gradient, 0-dimensional; null if no weight has a gradient.
int anyflow_native_adamw_step(const Adamw *adamw, const AdamwNumbers *numbers, const at::Tensor *loss,
                              at::Tensor **norm) {
  return caught([&] {
    at::NoGradGuard no_grad;
    Tensors weights, gradients, first, second, counts;
    for (Tensors *list : {&weights, &gradients, &first, &second, &counts}) list->reserve(adamw->weights.size());
    for (size_t i = 0; i < adamw->weights.size(); ++i) {
      const at::Tensor &weight = adamw->weights[i], &gradient = weight.grad();
      if (!gradient.defined()) continue;
      weights.push_back(weight);
      gradients.push_back(laid_out_as(weight, gradient));
      check_alike(weight, gradients.back(), "gradient", i);
      first.push_back(adamw->first[i]);
      second.push_back(adamw->second[i]);
      counts.push_back(adamw->count_of[i]);
    }
    *norm = nullptr;
    if (weights.empty()) return;
    const at::Tensor size = norm_of(gradients);
    // Only a finite number gives 0 when multiplied by 0.
    at::Tensor failed = adamw->failed;
    failed.logical_or_((size + *loss).mul(0).ne(0));
    std::optional<at::Tensor> divisor;
    if (numbers->clip > 0) divisor = (size + norm_epsilon).div(numbers->clip).clamp_min(1);
    if (counts.size() == adamw->weights.size()) {
      at::Tensor all = adamw->counts;
      all.add_(1);
    } else {
      at::_foreach_add_(counts, 1);
    }
    at::_fused_adamw_(weights, gradients, first, second, {}, counts, numbers->lr, numbers->beta1, numbers->beta2,
                      numbers->weight_decay, numbers->epsilon, /*amsgrad=*/false, /*maximize=*/false, divisor, failed);
    if (!adamw->averages.empty()) at::_foreach_lerp_(adamw->averages, adamw->weights, numbers->average);
    for (const at::Tensor &weight : weights) weight.mutable_grad().reset();
    *norm = new at::Tensor(size);
  });
}

int anyflow_native_inference_mode(c10::InferenceMode **out) {
  return caught([&] { *out = new c10::InferenceMode(true); });
}

int anyflow_native_leave_inference_mode(c10::InferenceMode *guard) {
  return caught([&] { delete guard; });
}

// The settings of the process, and the grad mode of the thread.
struct Globals {
  int32_t threads, grad, inference, deterministic, dtype;
};

int anyflow_native_globals(Globals *out) {
  return caught([&] {
    const at::Context &context = at::globalContext();
    *out = {at::get_num_threads(),
            at::GradMode::is_enabled(),
            c10::InferenceMode::is_enabled(),
            context.deterministicAlgorithms(),
            static_cast<int32_t>(c10::typeMetaToScalarType(c10::get_default_dtype()))};
  });
}

// Inference mode is left out: it ends with its guard.
int anyflow_native_set_globals(const Globals *globals) {
  return caught([&] {
    at::Context &context = at::globalContext();
    if (at::get_num_threads() != globals->threads) at::set_num_threads(globals->threads);
    at::GradMode::set_enabled(globals->grad != 0);
    if (context.deterministicAlgorithms() != (globals->deterministic != 0))
      context.setDeterministicAlgorithms(globals->deterministic != 0, /*warn_only=*/false);
    c10::set_default_dtype(c10::scalarTypeToTypeMeta(static_cast<c10::ScalarType>(globals->dtype)));
  });
}

}  // extern "C"

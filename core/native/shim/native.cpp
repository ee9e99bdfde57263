// What libtorch offers to C++ and tch does not bind. Every function catches what libtorch throws: 0 means done, and
// after 1 anyflow_native_error() tells why, on the same thread.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <memory>
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
    last_error = "an exception of an unknown kind";
  }
  return 1;
}

Tensors listed(Handles handles, size_t count) {
  Tensors tensors;
  tensors.reserve(count);
  for (size_t i = 0; i < count; ++i) tensors.push_back(*handles[i]);
  return tensors;
}

// The kernels walk over memory without a look at strides, shapes and types.
void check_alike(const Tensors &tensors, const Tensors &others, const char *what) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor &tensor = tensors[i], &other = others[i];
    TORCH_CHECK(tensor.is_non_overlapping_and_dense(), "tensor ", i, " is not dense");
    TORCH_CHECK(other.sizes() == tensor.sizes() && other.strides() == tensor.strides(), what, " ", i, " has shape ",
                other.sizes(), " and strides ", other.strides(), ", its tensor ", tensor.sizes(), " and ",
                tensor.strides());
    TORCH_CHECK(other.scalar_type() == tensor.scalar_type() && other.device() == tensor.device(), what, " ", i,
                " is ", other.scalar_type(), " on ", other.device(), ", its tensor ", tensor.scalar_type(), " on ",
                tensor.device());
  }
}

// Gradients as the kernel wants them: a gradient that is laid out otherwise than its weight is copied.
Tensors laid_out_as(const Tensors &weights, Tensors gradients) {
  for (size_t i = 0; i < weights.size(); ++i) {
    const bool other_order = gradients[i].sizes() == weights[i].sizes() && gradients[i].strides() != weights[i].strides();
    if (other_order) gradients[i] = at::empty_like(weights[i]).copy_(gradients[i]);
  }
  return gradients;
}

}  // namespace

extern "C" {

const char *anyflow_native_error() { return last_error.c_str(); }

// out[i]: a new handle on the gradient of tensors[i], undefined where it has none.
int anyflow_native_gradients(Handles tensors, size_t count, at::Tensor **out) {
  return caught([&] {
    std::vector<std::unique_ptr<at::Tensor>> found;
    for (size_t i = 0; i < count; ++i) found.push_back(std::make_unique<at::Tensor>(tensors[i]->grad()));
    for (size_t i = 0; i < count; ++i) out[i] = found[i].release();
  });
}

int anyflow_native_clear_gradients(Handles tensors, size_t count) {
  return caught([&] {
    for (size_t i = 0; i < count; ++i) tensors[i]->mutable_grad().reset();
  });
}

struct AdamwLists {
  Handles weights, gradients, first, second, steps;
};

struct AdamwNumbers {
  double lr, beta1, beta2, weight_decay, epsilon;
};

// divisor and skip may be null.
int anyflow_native_fused_adamw_(const AdamwLists *lists, size_t count, const AdamwNumbers *numbers,
                                const at::Tensor *divisor, const at::Tensor *skip) {
  return caught([&] {
    at::NoGradGuard no_grad;
    const Tensors weights = listed(lists->weights, count), first = listed(lists->first, count),
                  second = listed(lists->second, count), steps = listed(lists->steps, count);
    const Tensors gradients = laid_out_as(weights, listed(lists->gradients, count));
    check_alike(weights, gradients, "gradient");
    check_alike(weights, first, "first moment");
    check_alike(weights, second, "second moment");
    for (const at::Tensor &step : steps) {
      TORCH_CHECK(step.numel() == 1 && step.scalar_type() == at::kFloat, "a step count must be one float32");
    }
    at::_foreach_add_(steps, 1);
    const std::optional<at::Tensor> none;
    at::_fused_adamw_(weights, gradients, first, second, {}, steps, numbers->lr, numbers->beta1, numbers->beta2,
                      numbers->weight_decay, numbers->epsilon, /*amsgrad=*/false, /*maximize=*/false,
                      divisor ? std::optional<at::Tensor>(*divisor) : none,
                      skip ? std::optional<at::Tensor>(*skip) : none);
  });
}

int anyflow_native_foreach_lerp_(Handles tensors, Handles ends, size_t count, double weight) {
  return caught([&] {
    at::NoGradGuard no_grad;
    at::_foreach_lerp_(listed(tensors, count), listed(ends, count), weight);
  });
}

// *out: a new handle on the Euclidean norm over all elements, 0-dimensional.
int anyflow_native_norm(Handles tensors, size_t count, at::Tensor **out) {
  return caught([&] {
    at::NoGradGuard no_grad;
    const Tensors norms = at::_foreach_norm(listed(tensors, count));
    *out = new at::Tensor(at::linalg_vector_norm(at::stack(norms)));
  });
}

int anyflow_native_inference_mode(c10::InferenceMode **out) {
  return caught([&] { *out = new c10::InferenceMode(true); });
}

int anyflow_native_leave_inference_mode(c10::InferenceMode *guard) {
  return caught([&] { delete guard; });
}

}  // extern "C"

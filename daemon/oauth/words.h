// What a provider said, made fit to be shown: without the secrets of the request, also in the forms they
// travel in. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "base/text.h"

namespace credsync::oauth {

class Redactor {
 public:
  // The secrets must outlive this object.
  explicit Redactor(std::span<const std::string_view> secrets);

  std::string clean(std::string_view foreign, std::size_t limit = kForeignTextLimit) const;

 private:
  std::vector<std::string_view> forms_;  // longest first, so that a part never uncovers the rest
  std::vector<WipedString> encoded_;
};

}  // namespace credsync::oauth

// Device codes (RFC 8628, 3.2): what a person is shown and how long we poll.
#include "daemon/oauth/device_answer.h"

#include <variant>

#include "daemon/provider/url.h"
#include "tests/fuzz/answers.h"

using namespace credsync;
using namespace credsync::fuzz;

void run(Input input) {
  const Asking asking = read_asking(input);
  const oauth::HttpResponse response = read_response(input);
  const auto outcome =
      oauth::read_device_answer(asking.profile, response, {provider::RequestKind::kDeviceStart, {}, secrets()});
  if (const auto* failure = std::get_if<oauth::Failure>(&outcome)) return check_failure(*failure);
  const auto& answer = std::get<oauth::DeviceAnswer>(outcome);
  HOLDS(response.status >= 200 && response.status < 300);
  HOLDS(!answer.device_code.empty() && answer.device_code.size() <= 4096);
  HOLDS(!answer.user_code.empty() && answer.user_code.size() <= 64);
  HOLDS(is_fit_to_show(answer.user_code));
  HOLDS(provider::parse_url(answer.verification_uri));
  HOLDS(answer.verification_uri_complete.empty() || provider::parse_url(answer.verification_uri_complete));
  HOLDS(is_fit_to_show(answer.verification_uri) && is_fit_to_show(answer.verification_uri_complete));
  HOLDS(answer.expires_in >= 30s && answer.expires_in <= 1h);
  HOLDS(answer.interval >= 1s && answer.interval <= 60s);
}

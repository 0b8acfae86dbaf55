#include "daemon/oauth/userinfo.h"

#include <initializer_list>

#include "daemon/oauth/answer_body.h"
#include "daemon/oauth/request_frame.h"
#include "daemon/oauth/words.h"
#include "daemon/provider/names.h"

namespace credsync::oauth {

Result<HttpRequest> build_userinfo_request(const provider::Profile& profile, const Vars& vars,
                                           std::string_view client_id, const Secret& access_token, Random& random) {
  const provider::Endpoint& endpoint = profile.endpoints.userinfo;
  if (endpoint.url.empty()) return invalid("the provider has no userinfo endpoint");
  const Expander expander(profile, vars, client_id);
  Frame frame;
  frame.method = provider::is_said(profile, "endpoints.userinfo.method") ? endpoint.method : "GET";
  auto url = expander.url(endpoint.url);
  if (!url) return url.error().within("endpoints.userinfo");
  frame.url = std::move(*url);
  auto headers = expander.values(endpoint.headers);
  if (!headers) return headers.error().within("endpoints.userinfo.headers");
  frame.headers = std::move(*headers);
  auto request = finish_request(std::move(frame), {}, nullptr, {}, random);
  if (!request) return request.error();
  WipedString value;
  value.text().reserve(profile.delivery.prefix.size() + access_token.size());
  value.text().append(profile.delivery.prefix).append(access_token.expose());
  CREDSYNC_TRY(put_header(request->headers, profile.delivery.header, value.text()));
  return request;
}

Userinfo read_userinfo(const HttpResponse& response, const Secret& access_token) {
  const AnswerBody body = read_answer_body(response, provider::AnswerFormat::kJson);
  if (response.status != 200 || !body.value.is_object()) return {};
  const std::vector<std::string_view> secrets{access_token.expose()};
  const Redactor redactor(secrets);
  // Some wrap it as they wrap all their answers.
  const auto first = [&](std::initializer_list<std::string_view> names) {
    for (const JsonValue* object :
         {static_cast<const JsonValue*>(&body.value), body.value.member("data"), body.value.member("user")}) {
      if (object == nullptr || !object->is_object()) continue;
      for (const std::string_view name : names) {
        const JsonValue* value = object->member(name);
        if (value == nullptr || value->kind() == JsonValue::Kind::kBool) continue;
        std::string text = redactor.clean(value->text());
        if (!text.empty()) return text;
      }
    }
    return std::string();
  };
  return {first({"sub", "id", "user_id", "username"}), first({"email", "username", "preferred_username", "name"})};
}

}  // namespace credsync::oauth

// As much of JSON Schema 2020-12 as docs/http-api.yaml uses. A keyword it does not know is a failure, not a
// silence.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace credsync::ipc::http {

class JsonSchema {
 public:
  explicit JsonSchema(const nlohmann::json& document) : document_(document) {}

  // Everything that is wrong with `value`, each with its place.
  std::vector<std::string> check(const nlohmann::json& schema, const nlohmann::json& value);
  // Follows "$ref" within the document.
  const nlohmann::json& resolve(const nlohmann::json& maybe_reference) const;

 private:
  void check(const nlohmann::json& schema, const nlohmann::json& value, const std::string& where);
  void check_keyword(const std::string& keyword, const nlohmann::json& schema, const nlohmann::json& value,
                     const std::string& where);
  void check_object(const nlohmann::json& schema, const nlohmann::json& value, const std::string& where);
  void expect(bool holds, const std::string& where, const std::string& what);

  const nlohmann::json& document_;
  std::vector<std::string> wrong_;
};

}  // namespace credsync::ipc::http

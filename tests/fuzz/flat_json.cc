// Bodies of requests (RFC 8259): what is taken, another JSON parser takes and reads the same; a refusal never repeats what
// was sent.
#include "ipc/http/flat_json.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "tests/fuzz/fuzz.h"

using namespace credsync;
using namespace credsync::fuzz;
using ipc::http::FlatObject;

namespace {

void check_member(const FlatObject& object, const FlatObject::Member& member, const nlohmann::json& theirs) {
  switch (member.kind) {
    case FlatObject::Kind::kString:
      HOLDS(theirs.is_string() && theirs.get_ref<const std::string&>() == member.text.expose());
      HOLDS(is_utf8_text(member.text.expose()));
      break;
    case FlatObject::Kind::kFlag: HOLDS(theirs.is_boolean() && theirs.get<bool>() == object.flag(member.key)); break;
    case FlatObject::Kind::kNumber: {
      HOLDS(theirs.is_number());
      const auto whole = object.whole_number(member.key);
      HOLDS(whole.has_value() == (theirs.is_number_unsigned() && member.text.expose() != "-0"));
      HOLDS(!whole || *whole == theirs.get<std::uint64_t>());
      break;
    }
  }
}

}  // namespace

void run(Input input) {
  const std::string text = with_canaries(input.rest());
  auto object = FlatObject::parse(text);
  if (!object) {
    HOLDS(is_fit_to_show(object.error().message()) && !shows_canary(object.error().message()));
    return;
  }
  HOLDS(object->members().size() <= FlatObject::kMostMembers);
  const auto theirs = nlohmann::json::parse(text, nullptr, false);
  if (theirs.is_discarded()) {  // a number that fits no double
    HOLDS(text.find_first_of("eE0123456789") != text.npos);
    return;
  }
  HOLDS(theirs.is_object() && theirs.size() == object->members().size());
  for (const FlatObject::Member& member : object->members()) {
    HOLDS(theirs.contains(member.key));
    check_member(*object, member, theirs[member.key]);
  }
}

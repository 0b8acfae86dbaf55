// What tls_context.cc makes and socket_stream.cc uses: kept apart so that Poco's headers stay out of all
// others.
#pragma once

#include <Poco/Net/Context.h>

#include <string>

namespace credsync::oauth {

struct TlsContext {
  Poco::Net::Context::Ptr poco;
  std::string host;
  bool host_is_ip = false;
};

}  // namespace credsync::oauth

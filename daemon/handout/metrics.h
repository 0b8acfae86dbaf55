// The daemon's figures as OpenMetrics text. No account names: whoever reads metrics need not know who has which account.
#pragma once

#include <string>

#include "daemon/account/accounts.h"
#include "daemon/handout/service.h"
#include "daemon/refresh/exchanger.h"
#include "daemon/refresh/refresher.h"
#include "daemon/retire/parking.h"
#include "daemon/retire/retirer.h"

namespace credsync::handout {

struct Figures {
  const account::Accounts& accounts;
  const Desk& desk;
  const Service& service;
  const refresh::Refresher& refresher;
  const refresh::Exchanger& exchanger;
  const retire::Retirer& retirer;
  const retire::Parking& parking;
  bool store_stuck = false;  // something has waited too long to be stored
};
std::string open_metrics(const Figures& figures);

}  // namespace credsync::handout

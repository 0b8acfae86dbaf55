"""A headless Chromium under test: the W3C WebDriver protocol over chromedriver, as far as these tests need it.

    with Chromium(ca_files=[provider.ca_file]) as browser:
        browser.open(url)
        browser.click("button[value=allow]")
        browser.wait(lambda: browser.title, "the page")

Standard library only. The browser runs as the user who runs the test, with a profile of its own that trusts the given CAs and
otherwise what Debian's trusts: nothing is ignored. What cannot start raises: these tests are never skipped.
"""

import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

START_DEADLINE = 90.0     # seconds; a cold start on a busy machine
COMMAND_DEADLINE = 90.0   # seconds for one command, such as the load of a page
PAGE_DEADLINE = 60.0      # seconds until a page is as expected
STOP_DEADLINE = 10.0
POLL = 0.05
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"   # W3C WebDriver, 12.1: the name of a reference
FLAGS = [
    "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--no-proxy-server",
    "--no-sandbox",       # root has none, nor have most containers; only pages of these tests are opened
    "--force-prefers-reduced-motion", "--hide-scrollbars", "--lang=en",
]
DESKTOP = (1024, 720)
PHONE = (390, 720)        # CSS pixels


class WebDriverError(RuntimeError):
    """What chromedriver says: `code` is the protocol's error."""

    def __init__(self, code, words):
        super().__init__(f"{code}: {words}")
        self.code = code


def program(name, package):
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is missing: apt-get install {package} (script/test does it)")
    return found


def trust(home, ca_files):
    """The user's certificate database, which Chromium reads besides its own roots."""
    database = os.path.join(home, ".pki", "nssdb")
    os.makedirs(database)
    certutil = program("certutil", "libnss3-tools")
    subprocess.run([certutil, "-N", "-d", f"sql:{database}", "--empty-password"], check=True, capture_output=True, timeout=60)
    for number, ca_file in enumerate(ca_files):
        subprocess.run([certutil, "-A", "-d", f"sql:{database}", "-n", f"test {number}", "-t", "C,,", "-i", ca_file], check=True,
                       capture_output=True, timeout=60)


class Chromium:
    """chromedriver, one browser and one window."""

    def __init__(self, ca_files=()):
        self.home = tempfile.mkdtemp(prefix="credsync-chromium-")
        self.driver = self.connection = self.session = None
        try:
            trust(self.home, ca_files)
            self._start_driver()
            self.session = self._begin()
        except BaseException:
            self.close()
            raise

    # --- the processes

    def _start_driver(self):
        self.log_path = os.path.join(self.home, "chromedriver.log")
        environment = {**os.environ, "HOME": self.home, "TMPDIR": self.home}
        for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            environment.pop(name, None)
        with open(self.log_path, "wb") as log:
            self.driver = subprocess.Popen([program("chromedriver", "chromium-driver"), "--port=0"], env=environment,
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_DEADLINE
        while not (port := self._port()):
            if self.driver.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"chromedriver does not start: {self._driver_log()}")
            time.sleep(POLL)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=COMMAND_DEADLINE)

    def _driver_log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def _port(self):
        for line in self._driver_log().splitlines():
            if "started successfully on port " in line:
                return int(line.rsplit(" ", 1)[1].rstrip("."))
        return None

    def _begin(self):
        options = {"binary": program("chromium", "chromium"), "args": [*FLAGS, f"--user-data-dir={self.home}/profile"]}
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "acceptInsecureCerts": False, "pageLoadStrategy": "normal", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
            "timeouts": {"pageLoad": int(COMMAND_DEADLINE * 1000), "script": 10_000}}}})
        return answer["sessionId"]

    def close(self):
        if self.session is not None:
            try:
                self._send("DELETE", f"/session/{self.session}")
            except (OSError, http.client.HTTPException, WebDriverError):
                pass   # its processes are ended below
        if self.connection is not None:
            self.connection.close()
        if self.driver is not None:
            self._end_group()
        shutil.rmtree(self.home, ignore_errors=True)

    def _end_group(self):
        """The driver leads a process group of its own; the browser's processes are in it."""
        self._signal(signal.SIGTERM)
        try:
            self.driver.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)
        self.driver.wait()

    def _signal(self, number):
        try:
            os.killpg(self.driver.pid, number)
        except ProcessLookupError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- commands

    def _send(self, method, path, body=None):
        data = json.dumps(body if body is not None else {}) if method == "POST" else None
        self.connection.request(method, path, data, {"Content-Type": "application/json"})
        value = json.loads(self.connection.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise WebDriverError(value["error"], value.get("message", ""))
        return value

    def command(self, method, path, body=None):
        return self._send(method, f"/session/{self.session}{path}", body)

    def devtools(self, method, **params):
        """A command of the DevTools protocol."""
        return self.command("POST", "/goog/cdp/execute", {"cmd": method, "params": params})

    def open(self, url):
        self.command("POST", "/url", {"url": url})

    @property
    def url(self):
        return self.command("GET", "/url")

    @property
    def title(self):
        return self.command("GET", "/title")

    @property
    def source(self):
        return self.command("GET", "/source")

    def find(self, selector):
        """References of all elements that match, none if none does."""
        return [e[ELEMENT] for e in self.command("POST", "/elements", {"using": "css selector", "value": selector})]

    def one(self, selector):
        """The first that matches, waited for."""
        return self.wait(lambda: self.find(selector), f"{selector} on the page")[0]

    def text(self, selector):
        """As a person reads it: without what is hidden."""
        return self.command("GET", f"/element/{self.one(selector)}/text")

    def click(self, selector):
        self.command("POST", f"/element/{self.one(selector)}/click")

    def type(self, selector, text):
        self.command("POST", f"/element/{self.one(selector)}/value", {"text": text})

    def fresh(self):
        """A new window without a past, in place of the one there was."""
        new = self.command("POST", "/window/new", {"type": "tab"})["handle"]
        self.command("DELETE", "/window")
        self.command("POST", "/window", {"handle": new})
        self.messages()
        self.answers()

    def scripts(self, allowed):
        """Whether the pages of this window may run JavaScript. Commands of these tests always may."""
        self.devtools("Emulation.setScriptExecutionDisabled", value=not allowed)

    def run(self, script, *arguments):
        return self.command("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def back(self):
        self.command("POST", "/back")

    def reload(self):
        self.command("POST", "/refresh")

    def history(self):
        """Every address that the window remembers."""
        return [entry["url"] for entry in self.devtools("Page.getNavigationHistory")["entries"]]

    def _log(self, kind):
        return self.command("POST", "/se/log", {"type": kind})

    def messages(self):
        """What the console said since it was last asked: a policy that was broken, a script that failed."""
        return [entry["message"] for entry in self._log("browser")]

    def answers(self):
        """What came over the network since it was last asked: [(address, status, headers with lower-case names)]."""
        found = []
        for entry in self._log("performance"):
            event = json.loads(entry["message"])["message"]
            params = event["params"]
            response = params.get("response") or params.get("redirectResponse")
            if event["method"] in ("Network.responseReceived", "Network.requestWillBeSent") and response:
                found.append((response["url"], response["status"], {k.lower(): v for k, v in response["headers"].items()}))
        return found

    def wait(self, condition, what, timeout=PAGE_DEADLINE):
        """Polls until `condition` gives something true, and returns that. Elements of a page that went are looked for again."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                if found := condition():
                    return found
            except WebDriverError as error:
                if error.code not in ("stale element reference", "no such element"):
                    raise
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s: {what}; at {self.url.split('?')[0].split('#')[0]}, {self.title!r}")
            time.sleep(POLL)

    # --- how it looks

    def look(self, size=DESKTOP, scheme="light"):
        """The window's size in CSS pixels and what the person's system prefers."""
        width, height = size
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=size == PHONE)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self):
        """PNG bytes of what the window shows."""
        return base64.b64decode(self.devtools("Page.captureScreenshot", format="png")["data"])

#!/usr/bin/python3
"""Orders a refresh of each account, all at once, and does not wait for answers.  order.py SOCKET ACCOUNT…

Ends when stdin does: connections that are closed might cancel what they asked for, and nothing here may decide that.
"""

import socket
import sys

held = []
for account in sys.argv[2:]:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(sys.argv[1])
    connection.sendall(f"POST /v1/accounts/{account}/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    held.append(connection)
print("ordered", flush=True)
sys.stdin.read()

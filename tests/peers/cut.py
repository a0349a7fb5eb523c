#!/usr/bin/python3
"""cut.py PORT TO NUMBER: hands connections on loopback on to the port TO, and cuts the first NUMBER of them where the server says
that it has taken a mail: the client does not learn of it."""

import itertools
import socketserver
import socket
import sys
import threading

port, to, number = map(int, sys.argv[1:])
connections = itertools.count()


class Connection(socketserver.BaseRequestHandler):
    def handle(self):
        cut = next(connections) < number
        with socket.create_connection(("127.0.0.1", to)) as server:
            threading.Thread(target=self.commands, args=(server,), daemon=True).start()
            for line in server.makefile("rb"):
                if cut and line.endswith(b" accepted\r\n"):
                    break
                self.request.sendall(line)
            self.request.shutdown(socket.SHUT_RDWR)

    def commands(self, server):
        try:
            while data := self.request.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            # The other side has ended.
            pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


Server(("127.0.0.1", port), Connection).serve_forever()

#!/usr/bin/env python3
"""A misbehaving web server and model hub on two loopback ports, for the tests of `pull`.

    pull_server.py ROOT

prints "PORT CDN_PORT" and serves until its standard input closes:
  /f/OPTIONS/NAME     the file ROOT/NAME, with +-joined options (see Options), "-" for none
  /api/models/O/R/revision/REV, /O/R/resolve/REV/FILE
                      the hub, for repositories below ROOT/hub; large files redirect to the other port
  /log                what was asked so far, as JSON
A repository's file ".options" (JSON) makes the hub misbehave: token, drop, wrong_sha, wrong_size, names, listing.
"""
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".gguf", ".safetensors")
lock = threading.Lock()
log = []
counts = {}
ports = {}
root = ""


class Options:
    """drop:N    close the connection after N bytes of body     limit:N  only the first N answers drop, stall or fail
    status:N  answer with status N                             retry_after:S  with that header
    norange   ignore ranges        noetag, weak, date          what validators there are
    changing  the second answer and later ones are of another file
    badrange  206 from another position    longer  206 of a longer file under the same tag
    always416 answer 416 to every range    stall:N  N bytes, then silence    rate:N  N bytes a second
    redirect  to the other port    loop    to itself           chunked  no Content-Length    empty  no body"""

    def __init__(self, text):
        self.values = {}
        for item in text.split("+"):
            name, _, value = item.partition(":")
            self.values[name] = int(value) if value else 1

    def get(self, name):
        return self.values.get(name, 0)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that are killed or give up are part of the tests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if self.path == "/log":
            with lock:
                return self.answer(200, json.dumps(log).encode())
        with lock:
            counts[self.path] = counts.get(self.path, 0) + 1
            self.count = counts[self.path]
            log.append({"path": self.path, "port": self.server.server_port, "range": self.headers.get("Range", ""),
                        "if_range": self.headers.get("If-Range", ""),
                        "authorization": self.headers.get("Authorization", "")})
        try:
            self.route([p for p in self.path.split("?")[0].split("/") if p])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def route(self, parts):
        if len(parts) >= 3 and parts[0] == "f":
            return self.plain(Options(parts[1]), os.path.join(root, *parts[2:]))
        if len(parts) == 6 and parts[:2] == ["api", "models"] and parts[4] == "revision":
            return self.hub_listing(parts[2], parts[3])
        if len(parts) >= 5 and parts[2] == "resolve":
            return self.hub_file(parts[0], parts[1], parts[3], "/".join(parts[4:]))
        self.answer(404, b"nothing here")

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def plain(self, options, path):
        if options.get("redirect") and self.server.server_port == ports["main"]:
            return self.answer(302, b"elsewhere", [("Location", "http://127.0.0.1:%d%s" % (ports["cdn"], self.path))])
        if options.get("loop"):
            return self.answer(302, b"round and round", [("Location", self.path)])
        if not os.path.isfile(path):
            return self.answer(404, b"no such file")
        misbehaves = not options.get("limit") or self.count <= options.get("limit")
        if options.get("status") and misbehaves:
            headers = [("Retry-After", str(options.get("retry_after")))] if options.get("retry_after") else []
            return self.answer(options.get("status"), b"not now", headers)
        with open(path, "rb") as file:
            data = file.read()
        if options.get("changing") and self.count > 1:
            data = data[:4] + bytes(255 - b for b in data[4:])
        if options.get("empty"):
            data = b""
        self.send_data(data, options, misbehaves)

    def send_data(self, data, options, misbehaves):
        tag = '"%s"' % hashlib.sha256(data).hexdigest()[:16]
        headers = []
        if options.get("weak"):
            headers.append(("ETag", "W/" + tag))
        elif options.get("date"):
            headers.append(("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"))
            tag = "Wed, 21 Oct 2015 07:28:00 GMT"
        elif not options.get("noetag"):
            headers.append(("ETag", tag))
        wanted = self.headers.get("Range")
        body, status, size = data, 200, len(data)
        if wanted and not options.get("norange") and self.headers.get("If-Range", tag) == tag:
            first = int(wanted[len("bytes="):-1])
            if first >= size or options.get("always416"):
                return self.answer(416, b"", headers + [("Content-Range", "bytes */%d" % size)])
            shown = min(first + 3, size - 1) if options.get("badrange") else first
            file = data + b"extra" if options.get("longer") else data
            body, status = file[shown:], 206
            headers.append(("Content-Range", "bytes %d-%d/%d" % (shown, len(file) - 1, len(file))))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if options.get("chunked"):
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send_body(body, options, misbehaves)

    def send_body(self, body, options, misbehaves):
        cut = min([options.get(n) for n in ("drop", "stall") if options.get(n)] or [len(body)]) if misbehaves else len(body)
        rate = options.get("rate")
        step = max(1, rate // 20) if rate else 65536
        for at in range(0, min(cut, len(body)), step):
            piece = body[at:min(at + step, cut)]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if options.get("chunked") else piece)
            self.wfile.flush()
            if rate:
                time.sleep(0.05)
        if cut < len(body):
            self.close_connection = True
            if options.get("stall"):
                time.sleep(20)
        elif options.get("chunked"):
            self.wfile.write(b"0\r\n\r\n")

    def repository(self, owner, name):
        """The folder and the options of a repository; None when it was refused."""
        folder = os.path.join(root, "hub", owner, name)
        if not os.path.isdir(folder):
            self.answer(404, b"{}", [("X-Error-Message", "Repository not found")])
            return None
        options = {}
        if os.path.isfile(os.path.join(folder, ".options")):
            with open(os.path.join(folder, ".options")) as file:
                options = json.load(file)
        if "token" in options and self.headers.get("Authorization") != "Bearer " + options["token"]:
            status = 403 if self.headers.get("Authorization") else 401
            self.answer(status, b"{}", [("X-Error-Message", "Access to this model is restricted")])
            return None
        return folder, options

    def hub_listing(self, owner, name):
        found = self.repository(owner, name)
        if not found:
            return
        folder, options = found
        if "listing" in options:
            return self.answer(200, options["listing"].encode())
        names = options.get("names")
        if names is None:
            names = [os.path.relpath(os.path.join(d, f), folder) for d, _, files in os.walk(folder) for f in files]
        body = {"id": owner + "/" + name, "sha": COMMIT, "siblings": [{"rfilename": n} for n in sorted(names)]}
        self.answer(200, json.dumps(body).encode())

    def hub_file(self, owner, name, revision, file_name):
        found = self.repository(owner, name)
        if not found:
            return
        folder, options = found
        path = os.path.join(folder, *file_name.split("/"))
        if revision not in ("main", COMMIT) or not os.path.isfile(path):
            return self.answer(404, b"", [("X-Error-Message", "Entry not found")])
        with open(path, "rb") as file:
            data = file.read()
        commit = ("X-Repo-Commit", COMMIT)
        if not file_name.endswith(LARGE):
            return self.answer(200, data, [commit, ("ETag", '"%s"' % hashlib.sha1(data).hexdigest())])
        sha = hashlib.sha256(b"other" if options.get("wrong_sha") else data).hexdigest()
        size = len(data) + 1 if options.get("wrong_size") else len(data)
        storage = "drop:%d+limit:%d" % (options["drop"], options.get("limit", 2)) if "drop" in options else "-"
        where = "http://127.0.0.1:%d/f/%s/hub/%s/%s/%s" % (ports["cdn"], storage, owner, name, file_name)
        self.answer(302, b"", [commit, ("Location", where), ("ETag", '"of-the-redirect"'),
                               ("X-Linked-Etag", '"%s"' % sha), ("X-Linked-Size", str(size))])


def main():
    global root
    root = sys.argv[1]
    for name in ("main", "cdn"):
        server = Server(("127.0.0.1", 0), Handler)
        ports[name] = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(ports["main"], ports["cdn"], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()

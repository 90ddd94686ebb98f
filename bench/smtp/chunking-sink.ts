/** A process: a server that takes every message, by DATA and by BDAT, and answers what came together in one write. */
import { createServer } from "node:net";
import { listen } from "./listening.ts";

const EHLO = ["bench", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING"];
const END_OF_DATA = "\r\n.\r\n";
const LF = 0x0a;
const NOTHING = Buffer.alloc(0);

const REPLIES: Readonly<Record<string, string>> = {
  EHLO: EHLO.map((line, index) => `250${index === EHLO.length - 1 ? " " : "-"}${line}\r\n`).join(""),
  HELO: "250 bench\r\n",
  MAIL: "250 2.1.0 Ok\r\n",
  RCPT: "250 2.1.5 Ok\r\n",
  RSET: "250 2.0.0 Ok\r\n",
  NOOP: "250 2.0.0 Ok\r\n",
  DATA: "354 Go on\r\n",
  QUIT: "221 2.0.0 Bye\r\n",
};

class SinkSession {
  #mode: "command" | "data" | "chunk" = "command";
  /** What is kept for the next octets: the beginning of a line, or what may be the beginning of the end of data. */
  #kept = NOTHING;
  #chunkLeft = 0;
  #replies = "";

  /** @returns the replies to what came. */
  receive(octets: Buffer): string {
    let rest = this.#kept.length === 0 ? octets : Buffer.concat([this.#kept, octets]);
    this.#kept = NOTHING;
    while (rest.length > 0) {
      if (this.#mode === "data") rest = this.#data(rest);
      else if (this.#mode === "chunk") rest = this.#chunk(rest);
      else rest = this.#line(rest);
    }
    const replies = this.#replies;
    this.#replies = "";
    return replies;
  }

  #line(octets: Buffer): Buffer {
    const end = octets.indexOf(LF);
    if (end === -1) {
      this.#kept = octets;
      return NOTHING;
    }
    const line = octets.latin1Slice(0, end).trimEnd();
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === "BDAT") this.#beginChunk(Number(line.split(" ")[1]));
    else this.#replies += REPLIES[verb] ?? "500 5.5.1 Unknown\r\n";
    if (verb !== "DATA") return octets.subarray(end + 1);
    this.#mode = "data";
    // The line end of DATA counts: the content may be a lone dot.
    return octets.subarray(Math.max(0, end - 1));
  }

  #data(octets: Buffer): Buffer {
    const end = octets.indexOf(END_OF_DATA);
    if (end === -1) {
      this.#kept = octets.subarray(-(END_OF_DATA.length - 1));
      return NOTHING;
    }
    this.#replies += "250 2.0.0 Ok\r\n";
    this.#mode = "command";
    return octets.subarray(end + END_OF_DATA.length);
  }

  #beginChunk(size: number): void {
    this.#chunkLeft = size;
    this.#mode = "chunk";
    if (size === 0) this.#chunk(NOTHING);
  }

  #chunk(octets: Buffer): Buffer {
    const taken = Math.min(this.#chunkLeft, octets.length);
    this.#chunkLeft -= taken;
    if (this.#chunkLeft === 0) {
      this.#replies += "250 2.0.0 Ok\r\n";
      this.#mode = "command";
    }
    return octets.subarray(taken);
  }
}

listen(
  createServer({ noDelay: true }, (socket) => {
    const session = new SinkSession();
    socket.on("error", () => socket.destroy());
    socket.write("220 bench ESMTP\r\n");
    socket.on("data", (octets) => {
      const replies = session.receive(octets);
      if (replies !== "") socket.write(replies);
    });
  }),
);

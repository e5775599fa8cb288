// Event streams with better-sse, as its guide to channels has it: whoever connects is registered with a channel
// of the user's own and with one that all share. Like the other servers it says its port, and then does what
// standard input orders, a line each, until that ends.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createChannel, createSession } from "better-sse";

const everyone = createChannel();
const users = new Map();
// As they are sent: text, and comments as often as the others send them.
const options = { serializer: String, keepAlive: 15_000 };

const server = createServer(async (request, response) => {
  const session = await createSession(request, response, options);
  everyone.register(session);
  const user = new URL(request.url, "http://localhost").searchParams.get("caller");
  const own = users.get(user) ?? createChannel();
  users.set(user, own);
  own.register(session);
  session.once("disconnected", () => {
    if (own.sessionCount === 0) {
      users.delete(user);
    }
  });
});

const data = "#" + "x".repeat(99);
let id = 0;

function publish(channel) {
  id += 1;
  channel.broadcast(data, "tick", { eventId: String(id) });
}

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
for await (const order of createInterface({ input: process.stdin })) {
  const [what, number] = order.split(" ");
  if (what === "one") {
    const own = users.get(number);
    if (own) {
      publish(own);
    }
  } else {
    for (let count = 0; count < Number(number); count += 1) {
      publish(everyone);
    }
  }
}
process.exit(0);

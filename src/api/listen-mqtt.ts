/** Where the API stands on the MQTT server: `mq.listen({ mqtt, ws })`. */
import type { Broker } from '../broker/index.ts';
import { MqttServer } from '../server/mqtt/index.ts';
import { version } from '../version.ts';
import { listening, type Place } from './listening.ts';

/** Null: not that way. @throws PostriderError REFUSED */
export async function listenMqtt(
  broker: Broker,
  mqtt: Place | null,
  ws: Place | null,
  log: (line: string) => void,
): Promise<{ readonly mqtt: Place | null; readonly ws: Place | null; close(): Promise<void> }> {
  const server = new MqttServer({ broker, version, log });
  try {
    return {
      mqtt: mqtt === null ? null : await listening(server.listen(mqtt.host, mqtt.port), mqtt),
      ws: ws === null ? null : await listening(server.listenWs(ws.host, ws.port), ws),
      close: () => server.close(),
    };
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** The Engine Room: how the engine is, and what it is made of. */

import { get } from "../api.js";
import { byId } from "../dom.js";
import { millisOf } from "../lib/format.js";
import { withPressure } from "../lib/pressure.js";
import { startPage } from "../shell/page.js";
import { historyCharts } from "./histories.js";
import { actorTable, partitionTable, streamTables, tableTable } from "./inside.js";
import { codeTable, sampleTable } from "./quarantine.js";
import { showHealthTiles, showRateTile } from "./tiles.js";

const ENGINE_EVERY_MS = 5_000;
const SAMPLES_EVERY_MS = 15_000;

const charts = historyCharts();
const partitions = partitionTable();
const actors = actorTable();
const tables = tableTable();
const streams = streamTables();
const codes = codeTable();
const samples = sampleTable();
let health = null;
let engine = {};
let asOfMs = Date.now();

function healthCame(data) {
  health = data;
  asOfMs = millisOf(data.as_of) ?? Date.now();
  showHealthTiles(data);
  partitions.show(data, asOfMs);
  showBoth();
}

function engineCame(data) {
  const at = millisOf(data.as_of) ?? Date.now();
  const before = engine.actors ?? null;
  const elapsedS = (at - (engine.at ?? at)) / 1_000;
  engine = { ...data, at };
  showRateTile(data);
  charts.show(data);
  actors.show(withPressure(data.actors ?? [], before, elapsedS));
  codes.show(data.quarantine ?? []);
  showBoth();
}

/** What needs both answers. */
function showBoth() {
  if (health === null) return;
  tables.show(health, engine, asOfMs);
  streams.show(health, engine);
}

/** Asks now and then; when there is no answer, what is shown stays, and the connection's lamp tells. */
function every(millis, path, show) {
  const ask = async () => {
    try {
      show(await get(path));
    } catch (error) {
      if (path.startsWith("quarantine"))
        byId("samples-note").textContent = `The samples got no answer: ${error.message}.`;
    }
  };
  ask();
  setInterval(ask, millis);
}

startPage({
  sources: { health: () => "health" },
  onEvent: (event, data) => event === "health" && healthCame(data),
});
every(ENGINE_EVERY_MS, "engine", engineCame);
every(SAMPLES_EVERY_MS, "quarantine?limit=20", (data) => samples.show(data.records ?? []));

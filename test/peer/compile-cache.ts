import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Has every process that this one starts keep what it compiled: stripping the types is two thirds of a short run. The
 * folder goes with this process.
 */
export function shareCompiled(): void {
  if (process.env.NODE_COMPILE_CACHE !== undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "posthaste-compiled-"));
  process.env.NODE_COMPILE_CACHE = folder;
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
}

export type { ReceivedMessage, TestedTransport } from "./transport/contract.ts";
export { testTransport } from "./transport/contract.ts";
export {
  type MemoryMessage,
  type MemoryQuery,
  type MemorySearch,
  type MemoryTransport,
  memoryTransport,
  type WaitOptions,
} from "./transport/memory.ts";
export type { ReadAttachment, ReadMessage } from "./transport/reading.ts";

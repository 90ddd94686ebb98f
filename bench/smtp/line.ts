/** The lines of the table: who sends what against whom, and what is to come of it. */
import type { Figures } from "./contender.ts";

/** A server for a scene, and how far away it is. */
export interface Scene {
  readonly title: string;
  readonly server: "sink" | "chunking sink" | "submission";
  /** In milliseconds; 0 is without a proxy. */
  readonly roundTrip: number;
  readonly rounds: number;
  /**
   * Each with how many messages it sends in a round, so that a round takes each about as long, and how many before, so
   * that the compiler is done with it.
   */
  readonly contenders: Readonly<Record<string, { readonly count: number; readonly warmUp: number }>>;
}

/** One target: a figure of ours against a peer's in the same scene. */
export interface Line {
  /** For `--only`. */
  readonly name: string;
  readonly scene: keyof typeof SCENES;
  readonly own: string;
  readonly peer: string;
  readonly figure: keyof Figures;
  /** Of ours to the peer's: at least for messages a second, at most for CPU time. */
  readonly target: number;
}

export const SCENES = {
  near: {
    title: "one connection, no delay",
    server: "sink",
    roundTrip: 0,
    rounds: 9,
    contenders: {
      raw: { count: 12_000, warmUp: 2_000 },
      rendered: { count: 8_000, warmUp: 12_000 },
      posthaste: { count: 6_000, warmUp: 10_000 },
      nodemailer: { count: 1_500, warmUp: 1_500 },
      upyo: { count: 1_500, warmUp: 1_500 },
      django: { count: 1_500, warmUp: 200 },
      "smtp-source": { count: 4_000, warmUp: 0 },
    },
  },
  far: {
    title: "one connection, 40 ms round trip",
    server: "sink",
    roundTrip: 40,
    rounds: 3,
    contenders: { posthaste: { count: 120, warmUp: 10 }, nodemailer: { count: 60, warmUp: 5 } },
  },
  window: {
    title: "one connection, 40 ms round trip, CHUNKING",
    server: "chunking sink",
    roundTrip: 40,
    rounds: 3,
    contenders: { window: { count: 1_600, warmUp: 160 }, nodemailer: { count: 60, warmUp: 5 } },
  },
  submission: {
    title: "40 ms round trip, STARTTLS and AUTH",
    server: "submission",
    roundTrip: 40,
    rounds: 3,
    contenders: { "send-mass-mail": { count: 100, warmUp: 0 }, "send-mail": { count: 20, warmUp: 0 } },
  },
} as const satisfies Record<string, Scene>;

const near = { scene: "near", own: "posthaste" } as const;

export const LINES: readonly Line[] = [
  { name: "raw", ...near, own: "rendered", peer: "raw", figure: "perSecond", target: 0.8 },
  { name: "raw", ...near, own: "rendered", peer: "raw", figure: "cpu", target: 2 },
  { name: "nodemailer", ...near, peer: "nodemailer", figure: "perSecond", target: 6 },
  { name: "nodemailer", ...near, peer: "nodemailer", figure: "cpu", target: 1 / 8 },
  { name: "upyo", ...near, peer: "upyo", figure: "perSecond", target: 4 },
  { name: "django", ...near, peer: "django", figure: "perSecond", target: 8 },
  { name: "smtp-source", ...near, peer: "smtp-source", figure: "perSecond", target: 2 },
  { name: "delay", scene: "far", own: "posthaste", peer: "nodemailer", figure: "perSecond", target: 1.8 },
  { name: "window", scene: "window", own: "window", peer: "nodemailer", figure: "perSecond", target: 12 },
  {
    name: "mass-mail",
    scene: "submission",
    own: "send-mass-mail",
    peer: "send-mail",
    figure: "perSecond",
    target: 6,
  },
];

/** How the table calls a contender. */
export const TITLES: Readonly<Record<string, string>> = {
  raw: "raw socket, the same bytes and schedule",
  rendered: "posthaste, rendered before",
  posthaste: "posthaste",
  window: "posthaste, BDAT window of 16",
  nodemailer: "nodemailer 10.6, pool of 1",
  upyo: "Upyo 0.4",
  django: "Django's send_mass_mail",
  "smtp-source": "smtp-source -d -s 1",
  "send-mass-mail": "sendMassMail",
  "send-mail": "sendMail, called as often",
};

/** The lines of the table: who sends what against whom, and what is to come of it. */
import type { Figures } from "./contender.ts";

/** A server for a scene, and how far away it is. */
export interface Scene {
  readonly title: string;
  readonly server: "sink" | "chunking sink" | "submission";
  /** In milliseconds; 0 is without a proxy. */
  readonly roundTrip: number;
  readonly rounds: number;
  /** For how long each sends before it is measured, in milliseconds, so that the compiler is done with it. */
  readonly warmUp: number;
  /** Each with how many messages it sends in a round, so that a round takes each about as long. */
  readonly contenders: Readonly<Record<string, number>>;
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
    rounds: 7,
    warmUp: 5_000,
    contenders: {
      raw: 12_000,
      rendered: 8_000,
      posthaste: 6_000,
      nodemailer: 1_500,
      upyo: 1_500,
      django: 1_500,
      "smtp-source": 4_000,
    },
  },
  far: {
    title: "one connection, 40 ms round trip",
    server: "sink",
    roundTrip: 40,
    rounds: 3,
    warmUp: 500,
    contenders: { posthaste: 120, nodemailer: 60 },
  },
  window: {
    title: "one connection, 40 ms round trip, CHUNKING",
    server: "chunking sink",
    roundTrip: 40,
    rounds: 3,
    warmUp: 500,
    contenders: { window: 1_600, nodemailer: 60 },
  },
  submission: {
    title: "40 ms round trip, STARTTLS and AUTH",
    server: "submission",
    roundTrip: 40,
    rounds: 3,
    warmUp: 0,
    contenders: { "send-mass-mail": 100, "send-mail": 20 },
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

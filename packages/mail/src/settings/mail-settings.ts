/** One mailer of the settings: where its mail goes. It can be cloned, so that it can be handed to a worker thread. */
export interface MailerSettings {
  /** Its name. Default: `default`. */
  readonly alias: string;
  /** `EMAIL_BACKEND`, or `BACKEND` in `MAILERS`. Default: `smtp`. */
  readonly backend: Backend;
  /** `EMAIL_HOST`. Default: `localhost`. */
  readonly host: string;
  /** `EMAIL_PORT`. Default: 465 for implicit TLS, 587 where STARTTLS was asked for, else 25. */
  readonly port: number;
  /** `EMAIL_HOST_USER` and `EMAIL_HOST_PASSWORD`; undefined unless both are set, as in Django. */
  readonly auth: { readonly user: string; readonly password: string } | undefined;
  /**
   * `EMAIL_USE_SSL` or port 465: `implicit`. `EMAIL_USE_TLS`: `starttls`, required. Neither set: undefined, which is
   * `none` for a loopback host and `starttls` for any other. `EMAIL_USE_TLS=false`: `none`.
   */
  readonly tls: "implicit" | "starttls" | "none" | undefined;
  /** `EMAIL_TIMEOUT`, here in milliseconds: for connecting, the greeting and each command. Default: RFC 5321's. */
  readonly timeout: number | undefined;
  /** `EMAIL_SSL_CERTFILE`: the path of the client's certificate in PEM. */
  readonly certFile: string | undefined;
  /** `EMAIL_SSL_KEYFILE`: the path of its key in PEM. Default: the key stands in the file of the certificate. */
  readonly keyFile: string | undefined;
  /** `EMAIL_FILE_PATH`: the directory of the file backend. */
  readonly filePath: string | undefined;
  /** `fail_silently` of its `OPTIONS`: the functions that use it resolve instead of throwing. Default: false. */
  readonly failSilently: boolean;
  /** The `OPTIONS` of a backend that is a module, as they were given; else empty. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The setting that names the server; undefined where none does, and the host is its default. */
  readonly namedBy: "EMAIL_HOST" | "EMAIL_URL" | "MAILERS" | undefined;
}

/**
 * What the settings say about mail. The fields of {@link MailerSettings} are the default mailer's; where `MAILERS` has
 * none, `backend` is undefined, and who sends without naming a mailer gets a SettingsError.
 */
export interface MailSettings extends Omit<MailerSettings, "backend"> {
  /** That of the default mailer; undefined where `MAILERS` has none. */
  readonly backend: Backend | undefined;
  /** Every mailer by its alias: those of `MAILERS`, or the one that the other settings describe, as `default`. */
  readonly mailers: Readonly<Record<string, MailerSettings>>;
  /** `DEFAULT_FROM_EMAIL`. Default: `webmaster@localhost`. */
  readonly from: string;
  /** `SERVER_EMAIL`: the author of mail to admins and managers. Default: `root@localhost`. */
  readonly serverEmail: string;
  /** `ADMINS`, one mailbox each. Default: nobody. */
  readonly admins: readonly string[];
  /** `MANAGERS`, one mailbox each. Default: the admins. */
  readonly managers: readonly string[];
  /** `EMAIL_SUBJECT_PREFIX`, of mail to admins and managers. Default: `[Django] `. */
  readonly subjectPrefix: string;
  /** `EMAIL_USE_LOCALTIME`: whether Date fields are in this process's time zone. Default: false, UTC. */
  readonly useLocalTime: boolean;
}

/** The backends that are built in. */
export const BACKENDS = ["smtp", "console", "file", "memory", "dummy"] as const;

/** A backend that is built in, or the name of a module whose export `backend(settings)` makes a transport. */
export type Backend = (typeof BACKENDS)[number] | (string & {});

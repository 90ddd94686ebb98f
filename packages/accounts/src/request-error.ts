/** What can be wrong with a request, and the status that says so. Codes are stable: programs compare them. */
export const REQUEST_ERRORS = {
  malformed_body: 400,
  unknown_field: 400,
  duplicate_field: 400,
  invalid_fields: 400,
  invalid_token: 400,
  invalid_credentials: 401,
  not_verified: 401,
  not_authenticated: 401,
  password_required: 403,
  wrong_password: 403,
  cross_site: 403,
  not_found: 404,
  method_not_allowed: 405,
  expired_token: 410,
  too_large: 413,
  unsupported_media_type: 415,
  too_many_requests: 429,
  internal: 500,
  overloaded: 503,
} as const satisfies Record<string, number>;

export type RequestErrorCode = keyof typeof REQUEST_ERRORS;

/** A fault of a field; a key of the catalogue. */
export type FieldFault =
  | "required"
  | "notText"
  | "tooLong"
  | "control"
  | "email"
  | "locale"
  | "passwordsDiffer"
  | "passwordShort"
  | "passwordLong"
  | "passwordCommon"
  | "passwordIsAddress"
  | "passwordWrong"
  | "passwordNeeded"
  | "unknown"
  | "duplicate";

export type FieldFaults = Readonly<Record<string, readonly FieldFault[]>>;

/** A request that is answered with an error; everything else that is thrown is a fault of ours. */
export class RequestError extends Error {
  override name = "RequestError";
  readonly code: RequestErrorCode;
  readonly faults: FieldFaults;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: RequestErrorCode,
    details: { faults?: FieldFaults; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(code);
    this.code = code;
    this.faults = details.faults ?? {};
    this.headers = details.headers ?? {};
  }

  get status(): (typeof REQUEST_ERRORS)[RequestErrorCode] {
    return REQUEST_ERRORS[this.code];
  }
}

/** RFC 5801 section 4 and RFC 5802 section 5.1, `saslname`: a comma would end the name, and `=` begins an escape. */
export function saslName(name: string): string {
  return name.replaceAll("=", "=3D").replaceAll(",", "=2C");
}

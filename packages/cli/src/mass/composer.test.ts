import assert from "node:assert/strict";
import { mkdtemp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createComposer, type MessageTemplates } from "./composer.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "posthaste-composer-"));
  await mkdir(join(folder, "in/side"), { recursive: true });
  await writeFile(join(folder, "in/side/a.txt"), "a");
  await writeFile(join(folder, "secret.txt"), "s");
  await symlink(join(folder, "secret.txt"), join(folder, "in/link.txt"));
});
after(() => rm(folder, { recursive: true, force: true }));

const PLAIN: MessageTemplates = {
  from: "from@example.com",
  to: ["{{ email }}"],
  cc: [],
  bcc: [],
  replyTo: [],
  subject: "x",
  text: "x",
  html: undefined,
  headers: [],
  attach: [],
};

const compose = (
  templates: Partial<MessageTemplates>,
  columns: object,
): ReturnType<ReturnType<typeof createComposer>["compose"]> =>
  createComposer({ ...PLAIN, ...templates }, false).compose({ email: "kim@example.com", ...columns });

test("what a row holds is escaped in HTML, and stays as it is in text, subject and header fields", () => {
  const name = `<script>"&'</script>`;
  const given = {
    html: `<a title="{{ name }}">`,
    text: "{{ name }}",
    subject: "{{ name }}",
    headers: [["X-A", "{{ name }}"]] as const,
  };
  const { html, text, subject, headers } = compose(given, { name });
  assert.equal(html, `<a title="&lt;script&gt;&#34;&amp;&#39;&lt;/script&gt;">`);
  assert.deepEqual([text, subject, headers["X-A"]], [name, name, [name]]);
  assert.equal(compose({ html: "{{ name | raw }}" }, { name }).html, name, "the template's author may say so");
});

test("a row is data: a template in it stays text, and nothing inherited is reached", () => {
  assert.equal(compose({ text: "{{ name }}" }, { name: "{{ email }}{% if x %}" }).text, "{{ email }}{% if x %}");
  assert.throws(
    () => compose({ text: "{{ name.constructor }}" }, { name: {} }),
    /undefined variable: name\.constructor/,
  );
  assert.throws(() => compose({ text: "{{ toString }}" }, {}), /undefined variable/);
});

test("no template reads a file: there are no such tags", () => {
  for (const tag of ["include", "render", "layout", "block"]) {
    assert.throws(
      () => createComposer({ ...PLAIN, text: `{% ${tag} "${join(folder, "secret.txt")}" %}` }, false),
      new RegExp(`--text-file: line 1, column 1: tag "${tag}" not found`),
    );
  }
});

test("a template without end is the fault of its row", () => {
  assert.throws(
    () => compose({ text: "{% for i in (1..1000000000) %}x{% endfor %}" }, {}),
    /memory alloc limit exceeded/,
  );
});

test("a template that makes more than five million characters is the fault of its row", () => {
  const doubled = (times: number): string => {
    const again = "{% capture s %}{{ s }}{{ s }}{% endcapture %}";
    return `{% capture s %}{{ name }}{% endcapture %}${again.repeat(times)}{{ s }}`;
  };
  const name = "x".repeat(625_000);
  assert.equal(compose({ html: doubled(3) }, { name }).html?.length, 5_000_000);
  assert.throws(() => compose({ html: doubled(4) }, { name }), /--html-file: it makes more than 5000000 characters/);
});

test("empty addresses, header fields and paths are left out", () => {
  const given = { cc: ["{{ none }}"], headers: [["X-A", "{{ none }}"]] as const, attach: ["{{ none }}"] };
  const { cc, headers, attachments } = compose(given, { none: "" });
  assert.deepEqual([cc, headers, attachments], [[""], {}, []]);
});

const PATHS: readonly [template: string, file: string, says: RegExp | undefined][] = [
  ["in/{{ file }}", "side/a.txt", undefined],
  ["in/s{{ file }}", "ide/a.txt", undefined],
  ["in/side/a.txt", "", undefined],
  ["secret.txt", "", undefined],
  ["in/{{ file }}", "side/b.txt", /--attach: .*b\.txt: .*ENOENT/],
  // What a stranger typed must not choose a file out of the folder.
  ["in/{{ file }}", "../secret.txt", /not in the folder/],
  ["in/s{{ file }}", "/../../secret.txt", /not in the folder/],
  ["in/{{ file }}", "link.txt", /not in the folder/],
  ["in/{{ file }}", ".", /not in the folder/],
  ["in/{{ file }}", "side", /--attach/],
  ["in/{{ file }}", "side/a.txt\0", /--attach/],
];

for (const [template, file, says] of PATHS) {
  test(`--attach ${template} with ${JSON.stringify(file)} is ${says === undefined ? "attached" : "refused"}`, () => {
    const make = (): unknown => compose({ attach: [join(folder, template)] }, { file });
    if (says === undefined) assert.doesNotThrow(make);
    else assert.throws(make, says);
  });
}

test("where the template names no folder, a path leads no further than the working folder", () => {
  assert.throws(() => compose({ attach: ["{{ file }}"] }, { file: join(folder, "secret.txt") }), /not in the folder/);
  assert.doesNotThrow(() => compose({ attach: ["{{ file }}"] }, { file: "package.json" }));
});

test("the Message-ID is on the domain of the author", () => {
  const composer = createComposer({ ...PLAIN, from: "{{ name }} <{{ name }}@mail.example.org>" }, false);
  const message = composer.compose({ email: "kim@example.com", name: "kim" }, (domain) => `<1.2@${domain}>`);
  assert.equal(message.messageId, "<1.2@mail.example.org>");
  assert.match(Buffer.from(message.toBytes()).toString(), /^Message-ID: <1\.2@mail\.example\.org>\r$/m);
});

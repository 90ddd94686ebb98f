/**
 * Django's own example: two messages over one connection.
 *
 *     EMAIL_HOST=127.0.0.1 EMAIL_PORT=1025 npm run example
 *
 * `npm start` has an inbox on that port.
 */
import { type MailTuple, sendMassMail } from "posthaste";

const message1: MailTuple = [
  "제목",
  "여기에 메시지가 있습니다",
  "from@example.com",
  ["first@example.com", "other@example.com"],
];
const message2: MailTuple = ["다른 주제", "여기에 또 다른 메시지가 있습니다.", "from@example.com", ["second@test.com"]];

const accepted = await sendMassMail([message1, message2]);
console.log(`${accepted} messages accepted`);

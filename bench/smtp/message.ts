/** The one message of this bench, the same for all who send it: a text of 2 kB in Korean. */
export const SUBJECT = "제목: 안녕하세요";
export const FROM = "김철수 <from@example.com>";
export const TO = "받는이 <to@example.com>";
export const TEXT = "여기에 메시지가 있습니다. 안녕하세요 여러분.\n".repeat(40).slice(0, 830);

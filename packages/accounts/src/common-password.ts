/**
 * Passwords that head every published list of leaked ones and have at least eight characters, lower-cased. Shorter ones
 * are refused for their length. Korean keyboards have favourites of their own: words typed without switching to Hangul.
 */
export const COMMON_PASSWORDS: ReadonlySet<string> = new Set(
  `
  00000000 000000000 0000000000 11111111 111111111 1111111111 11112222 11223344 112233445566 12121212 123123123
  12312312 12341234 123412341234 12344321 1234567a 12345678 123456789 1234567890 12345678910 123456789a 123456abc
  1234abcd 1234qwer 123qweasd 123qwe123 123abc123 13131313 147258369 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx
  1qaz2wsx3edc 1qazxsw2 22222222 33333333 44444444 55555555 66666666 66668888 77777777 78945612 789456123 87654321
  88888888 963852741 98765432 987654321 9876543210 99999999 a1234567 a12345678 a123456789 aa123456 aaaa1111 aaaaaaaa
  abc12345 abc123456 abcd1234 abcd12345 abcdefgh abcdefg1 access14 adgjmptw admin123 admin1234 administrator alexander
  asdasdasd asdf1234 asdfasdf asdfghjk asdfghjkl asdfghjkl1 asdqwe123 azerty123 azertyuiop babygirl baseball basketball
  butterfly changeme changeme1 charlie1 chocolate computer corvette danielle dkssudgktpdy dlrudals elephant football
  football1 gkrtodwkdl godqhrgo hello123 iloveyou iloveyou1 iloveyou2 internet jennifer jordan23 justin123 letmein1
  letmein123 liverpool lovelove maverick mercedes michelle midnight monkey123 mustang1 p@ssw0rd pa55word pa55w0rd
  pass1234 passw0rd passw0rd1 password password! password0 password01 password1 password1! password12 password123
  password1234 password2 password3 passwords princess princess1 q1w2e3r4 q1w2e3r4t5 q1w2e3r4t5y6 qazwsx123 qazwsxed
  qazwsxedc qlalfqjsgh qqww1122 qwaszx12 qwe123456 qweasd123 qweasdzxc qweqweqwe qwer1234 qwer12345 qwerasdf qwerqwer
  qwert123 qwert1234 qwert12345 qwerty12 qwerty123 qwerty1234 qwerty12345 qwerty123456 qwertyui qwertyuio qwertyuiop
  samantha sarang12 sarang123 secret123 snoopy12 spiderman starwars starwars1 steelers sunshine sunshine1 superman
  superman1 test1234 test12345 testtest trustno1 victoria welcome1 welcome123 whatever wjdqhtlfgh zaq12wsx zaq1xsw2
  zaq1zaq1 zxcv1234 zxcvbnm1 zxcvbnm123 zxcvzxcv
  `
    .trim()
    .split(/\s+/),
);

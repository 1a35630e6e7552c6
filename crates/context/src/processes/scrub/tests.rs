//! Command lines as they are seen, and such as nobody thought of.

use proptest::prelude::*;

use super::Scrub;

fn scrubbed(arguments: &[&str]) -> Vec<String> {
    let mut arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Scrub::default().arguments(&mut arguments, false);
    arguments
}

#[track_caller]
fn check(arguments: &[&str], expected: &[&str]) {
    assert_eq!(scrubbed(arguments), expected, "{arguments:?}");
}

#[test]
fn the_value_of_a_secret_is_replaced_in_its_own_argument_and_in_the_next() {
    check(&["mysql", "--password=abc", "-h", "db"], &["mysql", "--password=********", "-h", "db"]);
    check(&["mysql", "--password", "a b", "-h", "db"], &["mysql", "--password", "********", "-h", "db"]);
    check(&["x", "-token", "-abc"], &["x", "-token", "********"]);
    check(&["x", "--Api-Key", "abc", "y"], &["x", "--Api-Key", "********", "y"]);
    check(&["env", "API_KEY=abc", "HOME=/"], &["env", "API_KEY=********", "HOME=/"]);
    check(
        &["docker", "run", "-e", "POSTGRES_PASSWORD=a=b:c"],
        &["docker", "run", "-e", "POSTGRES_PASSWORD=********"],
    );
    check(
        &["java", "-Ddb.password=abc", "-jar", "a.jar"],
        &["java", "-Ddb.password=********", "-jar", "a.jar"],
    );
    check(&["x", "aws_secret_access_key:abc"], &["x", "aws_secret_access_key:********"]);
    check(&["x", "host=a;Pwd=b c;port=1"], &["x", "host=a;Pwd=******** c;port=1"]);
    check(&["curl", "-d", "user[password]=abc"], &["curl", "-d", "user[password]=********"]);
}

#[test]
fn a_secret_without_a_value_hides_no_other_option() {
    check(&["mysql", "--password", "--host", "db"], &["mysql", "--password", "--host", "db"]);
    check(&["mysql", "--password"], &["mysql", "--password"]);
    check(&["mysql", "--password=", "--host=db"], &["mysql", "--password=", "--host=db"]);
    check(&["mysql", "--password=", "db"], &["mysql", "--password=", "db"]);
    check(&["x", "--token", "--1aB"], &["x", "--token", "********"]);
}

#[test]
fn headers_are_hidden_to_their_end() {
    check(&["curl", "-H", "Authorization: Bearer abc"], &["curl", "-H", "Authorization: ********"]);
    check(&["curl", "-HX-Api-Key: abc", "h"], &["curl", "-HX-Api-Key: ********", "h"]);
    check(
        &["sh", "-c", "curl -H \"Authorization: Bearer abc\" https://host"],
        &["sh", "-c", "curl -H \"Authorization: ********\" https://host"],
    );
}

#[test]
fn an_argument_that_is_a_command_line_is_treated_as_one() {
    check(&["sh", "-c", "mysql --password abc -h db"], &["sh", "-c", "mysql --password ******** -h db"]);
    check(&["sh", "-c", "mysql --password='a b'  -h db"], &["sh", "-c", "mysql --password=********  -h db"]);
    check(&["sh", "-c", "mysql '--password' \"a b\" -h"], &["sh", "-c", "mysql '--password' ******** -h"]);
    check(&["title: --token abc  x"], &["title: --token ********  x"]);
    check(&["password = abc x"], &["password = abc x"]);
    check(&["password= abc x"], &["password= ******** x"]);
    check(&["sh", "-c", "x --password='never closed a"], &["sh", "-c", "x --password=********"]);
}

#[test]
fn values_in_json_are_hidden() {
    check(&[r#"{"password":"abc","user":"u"}"#], &[r#"{"password":********"#]);
    check(&[r#"{"password": "a b", "user": "u"}"#], &[r#"{"password": ******** "user": "u"}"#]);
    check(&[r#"{\"password\": \"a b\"}"#], &[r#"{\"password\": ********"#]);
}

#[test]
fn the_password_in_an_url_is_hidden_and_the_rest_of_it_is_not() {
    check(&["psql", "postgres://u:p@h:5432/d?a=b"], &["psql", "postgres://u:********@h:5432/d?a=b"]);
    check(&["--url=https://u:p@ss@h/"], &["--url=https://u:********@h/"]);
    check(&["redis://:p@h"], &["redis://:********@h"]);
    check(&["a://u:p@h,b://v:q@i/x"], &["a://u:********@h,b://v:********@i/x"]);
    check(&["https://h:80/p?token=abc&a=b"], &["https://h:80/p?token=********"]);
    for untouched in [
        "https://h:8080/@scope/x",
        "ssh://git@host/x",
        "git@host:x",
        "http://[::1]:80/",
        "://",
        "a://@",
        "x:y",
    ] {
        check(&[untouched], &[untouched]);
    }
}

#[test]
fn the_password_of_an_url_that_is_cut_is_hidden_too() {
    let mut cut = ["a://u:p".to_owned(), "b://u:p".to_owned()];
    Scrub::default().arguments(&mut cut, true);
    assert_eq!(cut, ["a://u:p", "b://u:********"]);
    let mut host = ["b://host".to_owned()];
    Scrub::default().arguments(&mut host, true);
    assert_eq!(host, ["b://host"]);
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    for line in [
        &["git", "commit", "--author=A <a@b>", "-m", "a: b"][..],
        &["mysql", "-pX", "-u", "root"],
        &["nginx: worker process"],
        &["postgres: app db 10.0.0.1(5432) idle"],
        &["llm", "--tokenizer", "x", "--max_tokens=5"],
        &["gcloud", "auth", "login"],
        &["ssh", "-i", "/home/u/.ssh/id", "u@h"],
        &["", "  ", "a  b ", "ü\u{a0}ö"],
    ] {
        check(line, line);
    }
}

#[test]
fn nothing_is_hidden_when_it_is_switched_off() {
    let mut line = ["--password=abc".to_owned(), "a://u:p@h".to_owned()];
    Scrub::off().arguments(&mut line, true);
    assert_eq!(line, ["--password=abc", "a://u:p@h"]);
}

const FORMS: [&[&str]; 13] = [
    &["--password=@"],
    &["--password", "@"],
    &["-x", "TOKEN=@"],
    &["my_api_key:@"],
    &["a://u:@@h/x"],
    &["sh", "-c", "x --secret @ y"],
    &["sh", "-c", "x --secret='@ @' y"],
    &["sh", "-c", "x --secret \"@ @\" y"],
    &["Authorization: Basic @"],
    &["sh -c 'X-Auth-Token: @ @' y"],
    &["{\"passwd\": \"@ @\"}"],
    &["{'passwd':'@'}"],
    &["https://h/?a=b&access_token=@&c=d"],
];

proptest! {
    #[test]
    fn a_secret_is_not_told_whatever_stands_around_it(
        before in prop::collection::vec("[a-z -]{0,6}", 0..3),
        after in prop::collection::vec(r"\PC{0,8}", 0..3),
        form in 0..FORMS.len(),
        value in "[A-Z0-9_+~-]{5,12}",
    ) {
        let value = format!("Q{value}");
        let filled = FORMS[form].iter().map(|part| part.replacen('@', &value, if part.contains("@@") { 1 } else { 9 }));
        let mut line: Vec<String> = before.into_iter().chain(filled).chain(after).collect();
        let shown_after = line.clone();
        Scrub::default().arguments(&mut line, false);
        prop_assert!(line.iter().all(|argument| !argument.contains(&value)), "{line:?} of {shown_after:?}");
        let once = line.clone();
        Scrub::default().arguments(&mut line, false);
        prop_assert_eq!(line, once, "a second time changes nothing");
    }

    #[test]
    fn nothing_is_too_odd(
        mut line in prop::collection::vec(r#"(password|token|://|[:=@"' \\-]|\PC){0,12}"#, 0..6),
        cut in any::<bool>(),
    ) {
        Scrub::default().arguments(&mut line, cut);
    }
}

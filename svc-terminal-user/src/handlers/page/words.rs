//! The page's texts, in Chinese and English.

pub struct Words {
    pub lang: &'static str,
    pub title: &'static str,
    pub sign_in_first: &'static str,
    pub username: &'static str,
    pub password: &'static str,
    pub sign_in: &'static str,
    pub wrong: &'static str,
    pub missing: &'static str,
    pub unusable: &'static str,
    pub too_large: &'static str,
    pub stale_form: &'static str,
    pub ended: &'static str,
    pub away: &'static str,
    pub signed_in_as: &'static str,
    pub sign_out: &'static str,
    pub scan: &'static str,
    pub scan_how: &'static str,
    pub code_label: &'static str,
    pub good_for: &'static str,
    pub expired: &'static str,
    pub new_code: &'static str,
    pub lost: &'static str,
    pub no_script: &'static str,
    pub bound: &'static str,
    pub bound_to: &'static str,
    pub no_name: &'static str,
    pub key_end: &'static str,
    pub unbind: &'static str,
    pub bind_other: &'static str,
    pub bind_other_note: &'static str,
    pub back: &'static str,
    pub try_again: &'static str,
}

static ENGLISH: Words = Words {
    lang: "en",
    title: "Bind your phone",
    sign_in_first: "Sign in with your account, then scan a code with the app on your phone: that ties the two together.",
    username: "Username",
    password: "Password",
    sign_in: "Sign in",
    wrong: "Wrong username or password, or too many attempts: try again in 15 minutes.",
    missing: "Please enter your username and your password.",
    unusable: "A username has at most 64 characters and a password at most 128.",
    too_large: "What was sent is too large. Please try again.",
    stale_form: "That page was out of date. Please try again.",
    ended: "Your session has ended. Please sign in again.",
    away: "The service cannot be reached at the moment. Please try again.",
    signed_in_as: "Signed in as",
    sign_out: "Sign out",
    scan: "Scan this code",
    scan_how: "Open the app on your phone, choose Scan there, and point the phone at this code.",
    code_label: "QR code that binds a phone to your account",
    good_for: "The code is good for",
    expired: "This code has expired.",
    new_code: "Show a new code",
    lost: "The connection is lost. Trying again…",
    no_script: "After you have scanned the code, reload this page.",
    bound: "Your phone is bound",
    bound_to: "Your account is bound to",
    no_name: "a phone without a name",
    key_end: "Key ending in",
    unbind: "Unbind",
    bind_other: "Bind another phone",
    bind_other_note: "Another phone takes this one's place.",
    back: "Back",
    try_again: "Try again",
};

static CHINESE: Words = Words {
    lang: "zh",
    title: "绑定手机",
    sign_in_first: "请先登录帐号，然后用手机上的应用扫描二维码，即可完成绑定。",
    username: "用户名",
    password: "密码",
    sign_in: "登录",
    wrong: "用户名或密码错误，或尝试次数过多：请 15 分钟后再试。",
    missing: "请输入用户名和密码。",
    unusable: "用户名最多 64 个字符，密码最多 128 个字符。",
    too_large: "提交的内容过大，请重试。",
    stale_form: "页面已过期，请再试一次。",
    ended: "登录已失效，请重新登录。",
    away: "暂时无法连接服务，请稍后再试。",
    signed_in_as: "当前帐号",
    sign_out: "退出登录",
    scan: "请扫描二维码",
    scan_how: "在手机上打开应用，选择“扫一扫”，对准这个二维码。",
    code_label: "用于把手机绑定到当前帐号的二维码",
    good_for: "二维码有效时间",
    expired: "二维码已过期。",
    new_code: "显示新的二维码",
    lost: "连接已断开，正在重试……",
    no_script: "扫描之后，请刷新本页面。",
    bound: "手机已绑定",
    bound_to: "您的帐号已绑定到",
    no_name: "未命名的手机",
    key_end: "密钥末尾",
    unbind: "解除绑定",
    bind_other: "绑定另一部手机",
    bind_other_note: "新手机将取代当前手机。",
    back: "返回",
    try_again: "重试",
};

/// The language that `Accept-Language` likes best of the two; English where it likes neither.
pub fn of(accept_language: &str) -> &'static Words {
    let liked = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next()?.split('-').next()?.to_ascii_lowercase();
        let words = match tag.as_str() {
            "zh" => &CHINESE,
            "en" | "*" => &ENGLISH,
            _ => return None,
        };
        let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
        Some((words, weight)).filter(|(_, weight)| *weight > 0.0)
    };
    let mut best: Option<(&'static Words, f32)> = None;
    for (words, weight) in accept_language.split(',').take(32).filter_map(liked) {
        // The first of equals.
        if best.is_none_or(|(_, most)| weight > most) {
            best = Some((words, weight));
        }
    }
    best.map_or(&ENGLISH, |(words, _)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_liked_language_is_spoken() {
        for (header, lang) in [
            ("", "en"),
            ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
            ("en-US,en;q=0.9,zh;q=0.8", "en"),
            ("de,zh;q=0.3", "zh"),
            ("zh;q=0.4,en;q=0.5", "en"),
            ("ZH-tw", "zh"),
            ("fr,*;q=0.1", "en"),
            ("zh;q=0,fr", "en"),
            ("zh;q=nonsense", "en"),
        ] {
            assert_eq!(of(header).lang, lang, "{header}");
        }
    }
}

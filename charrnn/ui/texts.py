"""What the page says, in English and Japanese.

Fixed texts (labels, buttons, explanations) travel as keys, `i18n("key")`, and
the browser puts in its own language. Sentences that carry numbers or names
are written here, in the language that the browser asked for in its request.
Both tables have the same keys; English is the fallback. Explanations of the
settings come from the settings' own metadata in English.
"""

# ruff: noqa: RUF001  signs that a reader is used to
import html
from collections.abc import Mapping
from typing import Any, Final

import gradio as gr

from charrnn.config import MODEL_SETTINGS, TRAINING_SETTINGS, setting_field

ENGLISH: Final[dict[str, str]] = {
    "title": "charrnn",
    "tagline": "A small network that writes one character at a time. "
    "Train it on any text, watch it learn, hear it speak.",
    # --- generate
    "generate.tab": "Generate",
    "generate.model": "Model",
    "generate.prompt": "Prompt",
    "generate.prompt_hint": "How the text begins",
    "generate.compare": "Compare",
    "generate.one": "Generate",
    "generate.stop": "Stop",
    "generate.lead": "**Temperature** sets how daring each choice of a character "
    "is: low takes the likeliest, high lets the unlikely in. Look for where "
    "dull repetition turns into lively text, and lively text into invented words.",
    "generate.settings": "Length, seed and more",
    "generate.length": "Length",
    "generate.length_info": "characters, 1 to 10,000",
    "generate.temperature": "Temperature",
    "generate.one_temperature": "Temperature of “Generate”",
    "generate.one_temperature_info": "0 always takes the likeliest, 1 follows the "
    "model",
    "generate.seed": "Seed",
    "generate.seed_info": "the same seed writes the same text",
    "generate.new_seed": "New seed each time",
    "generate.top_k": "Top-k",
    "generate.top_k_info": "only the k likeliest characters; 0: all",
    "generate.top_p": "Top-p",
    "generate.top_p_info": "only the likeliest that hold this share; 1: all",
    "generate.stop_string": "Stop string",
    "generate.stop_string_info": "ends the writing where it appears",
    "generate.card.0": "careful: safe and repetitive",
    "generate.card.1": "steady",
    "generate.card.2": "lively",
    "generate.card.3": "daring: invents words",
    "generate.off": "no temperature: this column rests",
    "generate.copy": "Copy",
    "generate.copied": "Copied",
    "generate.save": "Download",
    "generate.link": "Link to this text",
    "generate.copy_link": "Copy link",
    "generate.writing": "Writing …",
    "generate.done": "{count:,} characters",
    "generate.stopped": "Stopped.",
    "generate.seed_is": "seed {seed}",
    "generate.unknown": "This model has never seen {characters}: it reads such a "
    "character as [UNK].",
    "generate.verbatim": "Marked: passages of 40 characters or more that stand word "
    "for word in the training text.",
    "generate.no_verbatim": "No passage of 40 characters stands word for word in the "
    "training text.",
    "generate.two": "Comparing needs at least two temperatures from 0 to 2.",
    "generate.no_model": "Choose a model first.",
    "generate.no_models": "There is no model yet: train one in the Train tab, or pull "
    "one from the Hub.",
    "generate.link_ready": "From a link: press “Compare” to write it again.",
    "generate.link_ready_one": "From a link: press “Generate” to write it again.",
    "generate.link_changed": "The link was made with other weights than this model "
    "has now: the text will differ.",
    "generate.link_gone": "The link names a model that is not here.",
    "generate.link_machine": "exact on this machine; on another, a long text may part",
    "generate.still_training": "still training",
    "generate.no_loss": "not yet validated",
    # --- train
    "train.tab": "Train",
    "train.text": "Text",
    "text.shakespeare": "Tiny Shakespeare",
    "text.python-stdlib": "Python's standard library",
    "train.upload": "Upload a file",
    "train.paste": "Paste",
    "train.file": "Text file",
    "train.pasted": "Your text",
    "train.pasted_hint": "Some thousand characters or more: the longer the better",
    "train.offline": "Use the offline text instead",
    "train.size": "Size",
    "train.preset.quick": "quick",
    "train.preset.balanced": "balanced",
    "train.preset.tutorial": "tutorial",
    "train.about.quick": "about two minutes on two cores, already readable",
    "train.about.balanced": "about ten minutes on two cores, good text",
    "train.about.tutorial": "the sizes of TensorFlow's tutorial, for a GPU or a "
    "patient person",
    "train.advanced": "Advanced settings",
    "train.advanced.network": "Network",
    "train.advanced.duration": "Duration",
    "train.advanced.updates": "Updates",
    "train.advanced.other": "Validation and the rest",
    "train.range": "{low} to {high}",
    "train.optional": "empty: no limit",
    "train.automatic": "empty: automatic",
    "train.name": "Title",
    "train.name_hint": "optional",
    "train.start": "Train",
    "train.stop": "Stop",
    "train.resume": "Resume",
    "train.continue": "Continue",
    "train.more_epochs": "More epochs",
    "train.command": "The same from a terminal",
    "train.live": "While it runs",
    "train.factor": "Multiply the learning rate by",
    "train.factor_info": "0.01 to 100; below 1 calms a restless curve",
    "train.apply": "Apply",
    "train.followed": "Run",
    "train.overlay": "Lay other runs over the plot",
    "train.overlay_info": "their validation loss, up to three",
    "train.samples": "Samples",
    "train.samples_none": "A sample appears with each validation.",
    "train.empty": "Press Train: the curve and the first words appear here.",
    "train.plot": "Loss",
    "train.runs": "All runs",
    "train.manage": "Rename, download, delete",
    "train.title_new": "New title",
    "train.rename": "Rename",
    "train.delete": "Delete",
    "train.delete_sure": "Delete for good",
    "train.delete_keep": "Keep",
    "train.delete_ask": "Delete “{title}” with its weights and history? This cannot be "
    "undone.",
    "train.zip": "Download zip",
    "train.axis_step": "step (updates of the weights)",
    "train.axis_loss": "loss (nats per character)",
    "series.train": "training",
    "series.smooth": "training, smoothed",
    "series.validation": "validation",
    "series.best": "best",
    "series.guessing": "guessing",
    "series.floor": "a table of 5-grams",
    "facts.characters": "{count:,} characters",
    "facts.distinct": "{count:,} distinct",
    "facts.split": "{train:,} to train on, {val:,} to validate",
    "facts.begin": "How it begins",
    "facts.none_upload": "Choose a text file (UTF-8 or UTF-16; others are recognised).",
    "facts.none_paste": "Paste a text: a few thousand characters at least.",
    "facts.reading": "Reading the text …",
    "estimate.parameters": "{count:,} parameters",
    "estimate.time": "about {time}",
    "estimate.unknown": "time: known after the first steps",
    "state.queued": "waiting",
    "state.running": "training",
    "state.stopping": "stopping",
    "state.finished": "finished",
    "state.stopped": "stopped",
    "state.early": "ended early",
    "state.failed": "failed",
    "state.died": "died",
    "state.model": "model",
    "state.unreadable": "unreadable",
    "progress.queue": "{count} before it in the queue",
    "progress.starting": "starting …",
    "progress.measuring": "measuring the speed …",
    "progress.epoch": "epoch {epoch:,}",
    "progress.epoch_of": "epoch {epoch:,} of {epochs:,}",
    "progress.step": "step {step:,}",
    "progress.step_of": "step {step:,} of {planned:,}",
    "progress.speed": "{speed:,} characters/s",
    "progress.left": "{time} left",
    "progress.factor": "learning rate × {factor:g}",
    "progress.best": "best validation loss {loss:.3f} at step {step:,}",
    "progress.early": "ended early: validation had stopped improving",
    "progress.rising": "memorising: the best weights, from step {step:,}, are kept",
    "progress.link": "Link to this run",
    "progress.unknown_run": "This run is not here: it was deleted, or the page "
    "restarted without it.",
    "progress.hosted": "What you train here is gone when this page restarts: download "
    "it or push it to the Hub.",
    "sample.head": "step {step:,}",
    "sample.loss": "validation {loss:.3f}",
    "runs.none": "No runs yet.",
    "runs.title": "Title",
    "runs.text": "Text",
    "runs.settings": "Settings",
    "runs.loss": "Best loss",
    "runs.state": "State",
    "runs.started": "Training “{title}”.",
    "runs.deleted": "Deleted.",
    "time.seconds": "{s} s",
    "time.minutes": "{m} min {s} s",
    "time.whole_minutes": "{m} min",
    "time.hours": "{h} h {m} min",
    "field.range": "expected a number from {low} to {high}",
    "field.needed": "give epochs or minutes: one of them ends the run",
    "field.missing": "a value is needed",
    # --- hub
    "hub.tab": "Hub",
    "hub.push": "Push a model to the Hugging Face Hub",
    "hub.push_lead": "Uploads four files: settings, characters, weights and a model "
    "card. The text it was trained on stays here.",
    "hub.repo": "Repository",
    "hub.repo_hint": "your-name/model-name",
    "hub.public": "Public: anyone can see it",
    "hub.license": "License",
    "hub.license_none": "none given",
    "hub.token": "Access token",
    "hub.token_info": "with write permission; used once, never stored",
    "hub.token_local": "empty: the token that is stored on this computer",
    "hub.push_go": "Push",
    "hub.pull": "Pull a model from the Hub",
    "hub.pull_lead": "Any charrnn model: it then stands in the Generate tab, and works "
    "offline.",
    "hub.source": "Source",
    "hub.source_hint": "owner/name or its address",
    "hub.revision": "Revision",
    "hub.revision_info": "branch, tag or commit; empty: the newest",
    "hub.pull_token": "only for a private model",
    "hub.pull_go": "Pull",
    "hub.pushed": "Pushed",
    "hub.unchanged": "Nothing had changed: the Hub already has exactly this.",
    "hub.pulled": "Pulled {repo}: “{title}” is in the Generate tab now.",
    "hub.commit": "commit",
    "hub.login_first": "Sign in with Hugging Face first: the button is above.",
    "hub.private_scope": "With this sign-in, private models can be pulled only if they "
    "were created from this page.",
    "hub.no_token": "An access token is needed: make one with write permission at "
    "huggingface.co/settings/tokens.",
    "hub.card": "Model card",
}
JAPANESE: Final[dict[str, str]] = {
    "title": "charrnn",
    "tagline": "一文字ずつ文章を書く小さなネットワーク。好きなテキストで訓練し、"
    "学ぶ様子を見て、書かせてみましょう。",
    "generate.tab": "生成",
    "generate.model": "モデル",
    "generate.prompt": "書き出し",
    "generate.prompt_hint": "文章の始まり",
    "generate.compare": "比べる",
    "generate.one": "生成",
    "generate.stop": "停止",
    "generate.lead": "**温度**は、次の文字をどれだけ大胆に選ぶかを決めます。"
    "低いと最もありそうな文字、高いと意外な文字も選ばれます。"
    "退屈な繰り返しが生き生きした文章になり、やがて造語に変わる境目を見てください。",
    "generate.settings": "長さ・シードなど",
    "generate.length": "長さ",
    "generate.length_info": "文字数、1〜10,000",
    "generate.temperature": "温度",
    "generate.one_temperature": "「生成」の温度",
    "generate.one_temperature_info": "0 は常に最もありそうな文字、1 はモデルのまま",
    "generate.seed": "シード",
    "generate.seed_info": "同じシードなら同じ文章になります",
    "generate.new_seed": "毎回新しいシード",
    "generate.top_k": "Top-k",
    "generate.top_k_info": "上位 k 文字だけから選ぶ。0 は制限なし",
    "generate.top_p": "Top-p",
    "generate.top_p_info": "確率の合計がこの割合になる上位だけ。1 は制限なし",
    "generate.stop_string": "終了文字列",
    "generate.stop_string_info": "現れたところで書くのをやめます",
    "generate.card.0": "慎重:安全だが繰り返しがち",
    "generate.card.1": "落ち着いた",
    "generate.card.2": "生き生き",
    "generate.card.3": "大胆:造語も",
    "generate.off": "温度なし:この列は休みです",
    "generate.copy": "コピー",
    "generate.copied": "コピーしました",
    "generate.save": "保存",
    "generate.link": "この文章へのリンク",
    "generate.copy_link": "リンクをコピー",
    "generate.writing": "書いています …",
    "generate.done": "{count:,} 文字",
    "generate.stopped": "停止しました。",
    "generate.seed_is": "シード {seed}",
    "generate.unknown": "このモデルは {characters} を見たことがなく、"
    "[UNK](未知の文字)として読みます。",
    "generate.verbatim": "印の付いた箇所は、訓練テキストに 40 文字以上そのまま"
    "現れる部分です。",
    "generate.no_verbatim": "訓練テキストと 40 文字以上一致する箇所はありません。",
    "generate.two": "比べるには 0〜2 の温度が二つ以上必要です。",
    "generate.no_model": "先にモデルを選んでください。",
    "generate.no_models": "まだモデルがありません。「訓練」タブで訓練するか、"
    "Hub から取得してください。",
    "generate.link_ready": "リンクから開きました。「比べる」を押すと再現します。",
    "generate.link_ready_one": "リンクから開きました。「生成」を押すと再現します。",
    "generate.link_changed": "リンク作成時と重みが異なるため、文章は変わります。",
    "generate.link_gone": "リンクのモデルはここにありません。",
    "generate.link_machine": "この計算機では完全に同じ。別の計算機では長い文章が"
    "途中で分かれることがあります",
    "generate.still_training": "訓練中",
    "generate.no_loss": "未検証",
    "train.tab": "訓練",
    "train.text": "テキスト",
    "text.shakespeare": "シェイクスピア",
    "text.python-stdlib": "Python 標準ライブラリ",
    "train.upload": "ファイル",
    "train.paste": "貼り付け",
    "train.file": "テキストファイル",
    "train.pasted": "あなたのテキスト",
    "train.pasted_hint": "数千文字以上。長いほど良くなります",
    "train.offline": "代わりにオフラインのテキストを使う",
    "train.size": "規模",
    "train.preset.quick": "手早く",
    "train.preset.balanced": "じっくり",
    "train.preset.tutorial": "チュートリアル",
    "train.about.quick": "2 コアで約 2 分。もう読めます",
    "train.about.balanced": "2 コアで約 10 分。良い文章",
    "train.about.tutorial": "TensorFlow チュートリアルと同じ規模。GPU か忍耐が必要",
    "train.advanced": "詳細設定",
    "train.advanced.network": "ネットワーク",
    "train.advanced.duration": "期間",
    "train.advanced.updates": "更新",
    "train.advanced.other": "検証・その他",
    "train.range": "{low}〜{high}",
    "train.optional": "空欄は制限なし",
    "train.automatic": "空欄は自動",
    "train.name": "題名",
    "train.name_hint": "省略可",
    "train.start": "訓練する",
    "train.stop": "停止",
    "train.resume": "再開",
    "train.continue": "続ける",
    "train.more_epochs": "追加エポック",
    "train.command": "端末で同じことをするには",
    "train.live": "実行中の調整",
    "train.factor": "学習率の倍率",
    "train.factor_info": "0.01〜100。1 未満で曲線が落ち着きます",
    "train.apply": "適用",
    "train.followed": "実行",
    "train.overlay": "他の実行を重ねる",
    "train.overlay_info": "検証損失を三つまで",
    "train.samples": "サンプル",
    "train.samples_none": "検証のたびにサンプルが現れます。",
    "train.empty": "「訓練する」を押すと、曲線と最初の言葉がここに現れます。",
    "train.plot": "損失",
    "train.runs": "すべての実行",
    "train.manage": "改名・保存・削除",
    "train.title_new": "新しい題名",
    "train.rename": "改名",
    "train.delete": "削除",
    "train.delete_sure": "完全に削除",
    "train.delete_keep": "残す",
    "train.delete_ask": "「{title}」を重みと履歴ごと削除しますか?元に戻せません。",
    "train.zip": "zip で保存",
    "train.axis_step": "ステップ(重みの更新回数)",
    "train.axis_loss": "損失(1 文字あたり nat)",
    "series.train": "訓練",
    "series.smooth": "訓練(平滑化)",
    "series.validation": "検証",
    "series.best": "最良",
    "series.guessing": "当てずっぽう",
    "series.floor": "5-gram の表",
    "facts.characters": "{count:,} 文字",
    "facts.distinct": "{count:,} 種類",
    "facts.split": "訓練 {train:,}・検証 {val:,}",
    "facts.begin": "冒頭",
    "facts.none_upload": "テキストファイルを選んでください"
    "(UTF-8・UTF-16、その他も判別します)。",
    "facts.none_paste": "数千文字以上のテキストを貼り付けてください。",
    "facts.reading": "テキストを読んでいます …",
    "estimate.parameters": "パラメータ {count:,} 個",
    "estimate.time": "約 {time}",
    "estimate.unknown": "所要時間は最初の数ステップの後に分かります",
    "state.queued": "待機中",
    "state.running": "訓練中",
    "state.stopping": "停止処理中",
    "state.finished": "完了",
    "state.stopped": "停止",
    "state.early": "早期終了",
    "state.failed": "失敗",
    "state.died": "異常終了",
    "state.model": "モデル",
    "state.unreadable": "読み取り不可",
    "progress.queue": "前に {count} 件",
    "progress.starting": "準備中 …",
    "progress.measuring": "速度を測定中 …",
    "progress.epoch": "エポック {epoch:,}",
    "progress.epoch_of": "エポック {epoch:,}/{epochs:,}",
    "progress.step": "ステップ {step:,}",
    "progress.step_of": "ステップ {step:,}/{planned:,}",
    "progress.speed": "{speed:,} 文字/秒",
    "progress.left": "残り {time}",
    "progress.factor": "学習率 × {factor:g}",
    "progress.best": "最良の検証損失 {loss:.3f}(ステップ {step:,})",
    "progress.early": "検証損失が改善しなくなったため早期終了しました",
    "progress.rising": "丸暗記が始まっています:ステップ {step:,} の最良の重みを"
    "残しています",
    "progress.link": "この実行へのリンク",
    "progress.unknown_run": "この実行はここにありません。削除されたか、"
    "再起動で失われました。",
    "progress.hosted": "ここで訓練したものはページの再起動で消えます。"
    "保存するか Hub に送ってください。",
    "sample.head": "ステップ {step:,}",
    "sample.loss": "検証 {loss:.3f}",
    "runs.none": "まだ実行がありません。",
    "runs.title": "題名",
    "runs.text": "テキスト",
    "runs.settings": "設定",
    "runs.loss": "最良の損失",
    "runs.state": "状態",
    "runs.started": "「{title}」を訓練しています。",
    "runs.deleted": "削除しました。",
    "time.seconds": "{s} 秒",
    "time.minutes": "{m} 分 {s} 秒",
    "time.whole_minutes": "{m} 分",
    "time.hours": "{h} 時間 {m} 分",
    "field.range": "{low} から {high} までの数が必要です",
    "field.needed": "エポックか分のどちらかが必要です",
    "field.missing": "値が必要です",
    "hub.tab": "Hub",
    "hub.push": "モデルを Hugging Face Hub に送る",
    "hub.push_lead": "設定・文字表・重み・モデルカードの四つを送ります。"
    "訓練テキストは送りません。",
    "hub.repo": "リポジトリ",
    "hub.repo_hint": "ユーザー名/モデル名",
    "hub.public": "公開する",
    "hub.license": "ライセンス",
    "hub.license_none": "指定なし",
    "hub.token": "アクセストークン",
    "hub.token_info": "書き込み権限が必要。一度だけ使い、保存しません",
    "hub.token_local": "空欄ならこの計算機に保存されたトークン",
    "hub.push_go": "送る",
    "hub.pull": "Hub からモデルを取得",
    "hub.pull_lead": "charrnn のモデルなら何でも。取得後は「生成」タブに現れ、"
    "オフラインで使えます。",
    "hub.source": "取得元",
    "hub.source_hint": "所有者/名前、またはアドレス",
    "hub.revision": "リビジョン",
    "hub.revision_info": "ブランチ・タグ・コミット。空欄は最新",
    "hub.pull_token": "非公開モデルの場合だけ",
    "hub.pull_go": "取得",
    "hub.pushed": "送りました",
    "hub.unchanged": "変更はありません。Hub の内容と同じです。",
    "hub.pulled": "{repo} を取得しました。「{title}」が生成タブにあります。",
    "hub.commit": "コミット",
    "hub.login_first": "先に上のボタンで Hugging Face にサインインしてください。",
    "hub.private_scope": "このサインインで取得できる非公開モデルは、"
    "このページで作られたものだけです。",
    "hub.no_token": "アクセストークンが必要です。huggingface.co/settings/tokens で"
    "書き込み権限付きで作ってください。",
    "hub.card": "モデルカード",
}
SETTING_LABELS: Final[dict[str, str]] = {
    "cell": "Cell",
    "embedding_dim": "Embedding size",
    "rnn_units": "Units",
    "num_layers": "Layers",
    "dropout": "Dropout",
    "epochs": "Epochs",
    "minutes": "Minutes",
    "batch_size": "Batch size",
    "seq_length": "Sequence length",
    "learning_rate": "Learning rate",
    "schedule": "Schedule",
    "warmup_steps": "Warm-up steps",
    "beta_2": "Beta 2",
    "weight_decay": "Weight decay",
    "clipnorm": "Gradient norm limit",
    "early_stopping": "Early stopping",
    "validate_every": "Validate every",
    "seed": "Seed",
    "compute_dtype": "Number format",
}
JAPANESE_SETTINGS: Final[dict[str, tuple[str, str]]] = {
    "cell": ("セル", "再帰セルの種類"),
    "embedding_dim": ("埋め込み次元", "一文字を表す数の個数"),
    "rnn_units": ("ユニット数", "各再帰層の記憶の大きさ"),
    "num_layers": ("層数", "積み重ねる再帰層の数"),
    "dropout": ("ドロップアウト", "訓練中に黙らせる出力の割合"),
    "epochs": ("エポック", "訓練テキストを読む回数"),
    "minutes": ("分", "訓練時間(分)"),
    "batch_size": ("バッチサイズ", "並べて読む流れの数"),
    "seq_length": ("系列長", "二回の更新の間に各流れが読む文字数"),
    "learning_rate": ("学習率", "最大時の更新の大きさ"),
    "schedule": ("スケジュール", "学習率が終わりに向けて下がる形"),
    "warmup_steps": ("ウォームアップ", "学習率が最大まで上がるステップ数"),
    "beta_2": ("Beta 2", "Adam が勾配の二乗を覚える長さ"),
    "weight_decay": ("重み減衰", "重みを 0 に引き寄せる力(AdamW)"),
    "clipnorm": ("勾配ノルム上限", "勾配全体の最大ノルム。0 は制限なし"),
    "early_stopping": ("早期終了", "改善しない検証がこの回数続くと終了。0 はしない"),
    "validate_every": ("検証間隔", "検証から検証までのステップ数"),
    "seed": ("シード", "すべての乱数の始まり"),
    "compute_dtype": ("数値形式", "行列積の内部の数値形式"),
}
SETTINGS: Final = (*MODEL_SETTINGS, *TRAINING_SETTINGS)
AUTOMATIC: Final = "validate_every"  # the one whose None is a choice, no limit


def _bounds(name: str, table: Mapping[str, str]) -> str:
    item = setting_field(name)
    low, high = item.metadata["low"], item.metadata["high"]
    parts = []
    if low is not None:
        shown = table["train.range"].format(low=shorten(low), high=shorten(high))
        parts.append(shown)
    if is_optional(name):
        key = "train.automatic" if name == AUTOMATIC else "train.optional"
        parts.append(table[key])
    return "".join(f" · {part}" for part in parts)


def is_optional(name: str) -> bool:
    """Whether a setting may be left empty."""
    return name in ("epochs", "minutes", AUTOMATIC)


def shorten(value: float) -> str:
    """A bound as people write it: 1,000 and 0.00001 and 2^63."""
    if value >= 2**53:
        return "2^63"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.10f}".rstrip("0").rstrip(".")


def _with_settings() -> tuple[dict[str, str], dict[str, str]]:
    english, japanese = dict(ENGLISH), dict(JAPANESE)
    for name in SETTINGS:
        help_text = setting_field(name).metadata["help"]
        english[f"setting.{name}"] = SETTING_LABELS[name]
        english[f"help.{name}"] = help_text + _bounds(name, ENGLISH)
        japanese[f"setting.{name}"] = JAPANESE_SETTINGS[name][0]
        japanese[f"help.{name}"] = JAPANESE_SETTINGS[name][1] + _bounds(name, JAPANESE)
    for table in (english, japanese):
        for index in range(4):
            table[f"card.{index}"] = resting_card(table[f"generate.card.{index}"])
        table["masthead"] = (
            f"<h1>{html.escape(table['title'])}</h1>"
            f"<p>{html.escape(table['tagline'])}</p>"
        )
        table["welcome"] = f'<p class="welcome">{html.escape(table["train.empty"])}</p>'
    return english, japanese


def resting_card(text: str, *, wide: bool = False) -> str:
    """A column in which nothing has been written yet, as HTML."""
    kind = "card wide" if wide else "card"
    return (
        f'<article class="{kind}"><p class="resting">{html.escape(text)}</p></article>'
    )


_english, _japanese = _with_settings()
TABLES: Final[dict[str, dict[str, str]]] = {"en": _english, "ja": _japanese}
i18n: Final = gr.I18n(en=_english, ja=_japanese)


def language(request: gr.Request | None) -> str:
    """The language a browser asks for, `en` unless it is one of ours."""
    if request is None or request.headers is None:
        return "en"
    wanted = str(request.headers.get("accept-language", ""))
    for part in wanted.split(","):
        code = part.split(";")[0].strip().lower().split("-")[0]
        if code in TABLES:
            return code
    return "en"


def known(lang: str) -> str:
    """A language code from the browser, `en` if it is none of ours."""
    return lang if lang in TABLES else "en"


def say(lang: str, key: str, **values: Any) -> str:
    """A sentence with its values, as plain text: escape it where it is HTML."""
    text = TABLES[lang][key]
    return text.format(**values) if values else text


def duration(lang: str, seconds: float) -> str:
    """A time as people say it, in two parts at most."""
    whole = max(0, round(seconds))
    if whole < 60:
        return say(lang, "time.seconds", s=whole)
    if whole < 3600 and whole % 60 == 0:
        return say(lang, "time.whole_minutes", m=whole // 60)
    if whole < 3600:
        return say(lang, "time.minutes", m=whole // 60, s=whole % 60)
    return say(lang, "time.hours", h=whole // 3600, m=whole % 3600 // 60)

"""Every system, in sizes for tests: what it is shown, and its options of `train.py`."""

OTHER_SIZES = ("-cpu", "-64", "-faces")  # ends of the names of recipes that are a system's again
# Channels, height and width, and whether there are labels.
DATA = {
    "wide": (3, (16, 20), False),
    "tall": (3, (24, 16), False),
    "labelled": (3, (24, 16), True),
    "grey": (1, (16, 20), True),
}
# A line, a checkpoint and a batch of 4 in every iteration; four iterations where a system does not say more.
ITERATION = (
    "--resolution 16 --batch 4 --kimg 0.016 --precision fp32 --ema-half-life 0.01 --keep 10 "
    "--log-every 0.004 --checkpoint-every 0.004 --snapshot-every 100 --tracker none"
)
# The data that each system is shown, and its size; here and there what has a state of its own to go on with.
SYSTEMS = {
    "ac-gan": ("labelled", "--widths-g 4 4 --widths-d 4 4 4 4 4 4 --latent-size 4 --channels-last"),
    "began": ("wide", "--width 4 --latent-size 4"),
    "cgan": ("grey", "--latent-size 4 --units-g 4 8 8 --units-d 8 4 8"),
    "dcgan": ("tall", "--widths 4 4 --latent-size 4 --augment translation --ada-target 0.6 --channels-last"),
    "draw": ("wide", "--steps 2 --latent-size 4 --hidden 8"),
    "f-gan": ("wide", "--widths 4 4 --latent-size 4 --objective f-pearson"),
    "gan": ("tall", "--hidden 8 --units 4 --pieces 2 --latent-size 4"),
    "gran": ("tall", "--widths 4 4 --steps 2 --latent-size 4 --channels-last"),
    "infogan": ("wide", "--widths 4 4 --hidden 8 --latent-size 4"),
    "lapgan": (
        "labelled",
        "--base 4 --widths 8 8 4 --conditional --optimizer adam --spectral-norm --historical-averaging 0.1 "
        "--instance-noise 0.1 0",
    ),
    "lsgan": (
        "tall",
        "--widths 4 4 --latent-size 4 --norm-d none --spectral-norm --minibatch discrimination --ttur-ratio 2",
    ),
    "mine": ("wide", "--widths 4 4 --latent-size 12 --channels-last"),
    "modern": ("labelled", "--widths 4 4 4 --latent-size 4 --attention 4 8 --channels-last"),
    "msg-gan": (
        "tall",
        "--widths 4 4 4 --latent-size 4 --attention 4 8 --objective rp-gan --r1 1 --r2 1 --penalty-every 2 "
        "--micro-batch 2",
    ),
    # resumed while 8x8 fades in, ended while 16x16 does
    "progan": (
        "grey",
        "--widths 4 4 4 --latent-size 4 --attention 4 8 --batches --hold 0.002 --fade 0.01 --kimg 0.02",
    ),
    "sagan": ("labelled", "--widths 8 8 8 --latent-size 4 --attention 4 8"),
    "selu-dcgan": (
        "wide",
        "--widths 4 4 --latent-size 4 --dragan 1 --historical-averaging 0.1 --feature-matching 0.1 "
        "--instance-noise 0.1 0",
    ),
    # the encoder in two iterations, each level by itself in the third, all together in the fourth
    "stacked-gan": (
        "grey",
        "--widths-e 4 4 --widths-g 4 4 --widths-d 4 4 --feature-size 8 --encoder-kimg 0.008 --joint-kimg 0.012",
    ),
    "vae": ("tall", "--widths 4 4 --latent-size 4"),
    "wgan": ("wide", "--widths 4 4 --latent-size 4 --n-critic 2 --n-critic-early 3 --kimg 0.048"),
    "wgan-gp": ("tall", "--widths 4 4 --latent-size 4 --n-critic 2 --n-critic-early 2 --kimg 0.032"),
}

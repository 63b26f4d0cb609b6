"""``python -m guywire.cli``, which is how ``guywire serve`` starts its worker."""

from guywire.cli import main

if __name__ == "__main__":
    main(prog_name="guywire")

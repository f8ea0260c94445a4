"""Figure 1c: how the signal R' from above a ReLU goes on below it as R, where f is what came in from below."""

RULES = {
    "backprop": "R = (f > 0) R'",  # the gradient: Simonyan et al. 2014
    "deconvnet": "R = (R' > 0) R'",  # Zeiler & Fergus 2014
    "guided": "R = (f > 0) (R' > 0) R'",  # the paper's
}

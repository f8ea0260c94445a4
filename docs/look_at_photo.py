from pipeline.own import look

run = look("all-cnn-c.digits", store="strive-store")
run.look("photo.png")  # shown as the image beside its maps; .maps["guided"] is the array, .name the class
